// `trunkline status`: how far a log, its handlers and a store are. Reads the data directory without owning it.
import { join } from 'node:path';
import type { Command } from 'commander';
import { TrunklineError } from '../base/errors.ts';
import type { DownShard } from '../dispatch/shard-lives.ts';
import { inspectLog, type LogInspection } from '../log/inspect.ts';
import { checkIsDirectory } from '../runtime/directory.ts';
import {
  type HandlerState,
  handlersFolderOf,
  keptElsewhere,
  type RunningHandler,
  readDownShards,
  readHandlers,
  readMessageCounts,
  readRunning,
} from '../runtime/offline-handlers.ts';
import { type OutputOptions, output, withJson } from '../terminal/output.ts';
import { bytes, table } from '../terminal/table.ts';
import { dataDirOption } from '../terminal/words.ts';
import type { MessageCounts } from '../wire/message.ts';
import { type PlaceOptions, placeOf } from './place.ts';
import { namedStore, storeOptions, withStore } from './stores.ts';

/** A handler, and how many log positions it has not come to; its state if a service runs it. */
type HandlerLine = HandlerState & Partial<RunningHandler> & { readonly lagPositions: number | undefined };

interface Status {
  log?: LogInspection;
  /** Of the service that runs on the directory; undefined: none does. */
  downShards?: DownShard[] | undefined;
  /** undefined: they are kept in a store, and the command line does not name it. */
  handlers?: HandlerLine[] | undefined;
  /** Between aggregates. */
  messages?: MessageCounts;
  store?: object;
}

interface Options extends OutputOptions {
  dataDir?: string;
}

export function addStatus(program: Command): void {
  withJson(withStore(program.command('status')))
    .description(`how far a log and its handlers (--data-dir) and a store (${storeOptions}) are`)
    .addOption(dataDirOption('the data directory of a runtime; it may be running'))
    .action(async (options: Options, command: Command) => {
      const { dataDir } = options;
      const store = namedStore(options);
      if (dataDir === undefined && store === undefined) {
        command.error(`error: give --data-dir, ${storeOptions}, or both`);
      }
      const status: Status = dataDir === undefined ? {} : await statusOfDirectory({ ...options, dataDir });
      const report = await store?.status(status.log?.logId);
      if (report !== undefined) status.store = report.value;
      output(options, status, () => [
        ...(dataDir === undefined ? [] : linesOf(status, keptElsewhere(handlersFolderOf(dataDir)))),
        ...(report?.lines ?? []),
      ]);
    });
}

async function statusOfDirectory(options: PlaceOptions): Promise<Status> {
  const { dataDir } = options;
  checkIsDirectory(dataDir);
  const log = inspectLog(join(dataDir, 'log'));
  if (log === undefined) throw new TrunklineError('DataDirUnreadable', { dataDir, reason: 'there is no log in it' });
  const here = await placeOf({ dataDir });
  const [handlers, messages, downShards] = await Promise.all([
    handlersOf(options, log),
    readMessageCounts(here, !log.isClean),
    log.isClean ? undefined : readDownShards(here),
  ]);
  return { log, downShards, handlers, messages };
}

async function handlersOf(
  options: PlaceOptions,
  { lastPosition, fault, isClean }: LogInspection,
): Promise<HandlerLine[] | undefined> {
  const place = await placeOf(options);
  if (place.store === undefined && keptElsewhere(place.handlersFolder) !== undefined) return undefined;
  const [handlers, running] = await Promise.all([readHandlers(place), isClean ? undefined : readRunning(place)]);
  const states = new Map(running?.map((one) => [one.name, one]));
  return handlers.map((handler) => ({
    ...handler,
    ...states.get(handler.name),
    lagPositions: fault === undefined ? Math.max(0, lastPosition - handler.position) : undefined,
  }));
}

/** `elsewhere`: the kind of the store that keeps what handlers keep. */
function linesOf({ log, downShards = [], handlers, messages }: Status, elsewhere: string | undefined): string[] {
  return [
    ...(log === undefined
      ? []
      : [...logLines(log), ...downShards.map(shardLine), ...handlerLines(handlers, elsewhere)]),
    ...(messages === undefined ? [] : [messageLine(messages)]),
  ];
}

function logLines({ logId, isClean, firstPosition, lastPosition, fault, bytes: size }: LogInspection): string[] {
  const state = `${isClean ? 'closed in order' : 'in use, or not closed in order'}, ${bytes(size)}`;
  const positions = lastPosition === 0 ? 'empty' : `positions ${firstPosition} to ${lastPosition}`;
  const held = fault === undefined ? positions : `positions cannot be read: ${fault}; the next start recovers it`;
  return [`log ${logId}`, `  ${state}`, `  ${held}`];
}

function shardLine({ shard, forMs, failedStarts, lastError }: DownShard): string {
  return `shard ${shard}: down for ${Math.round(forMs / 1000)} s, failed starts: ${failedStarts}, last error: ${lastError}`;
}

function handlerLines(handlers: readonly HandlerLine[] | undefined, elsewhere: string | undefined): string[] {
  if (handlers === undefined) return [`handlers: kept in the store; give --${elsewhere} as well`];
  if (handlers.length === 0) return [];
  const lines = table(
    ['handler', 'position', 'lag', 'dead letters', 'state', 'at'],
    handlers.map(({ name, position, lagPositions, deadLetters, isPaused, state, updatedAt }) => [
      name,
      position,
      lagPositions ?? 'unknown',
      deadLetters,
      state ?? (isPaused ? 'paused' : 'not running'),
      updatedAt,
    ]),
  );
  const errors = handlers.flatMap(({ name, lastError }) =>
    lastError === undefined ? [] : [`  ${name}: ${lastError}`],
  );
  return errors.length === 0 ? lines : [...lines, 'last errors:', ...errors];
}

function messageLine({ underWay, refused, failed, deadLetters }: MessageCounts): string {
  const letters = `${deadLetters} dead letter${deadLetters === 1 ? '' : 's'}`;
  if (underWay === undefined) return `messages: ${letters}; more only a running service knows`;
  return `messages: ${underWay} in flight, ${letters}; since the service's start ${refused} refused, ${failed} given up`;
}
