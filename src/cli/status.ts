// `trunkline status`: how far a log, its handlers and a store are. Reads the data directory without owning it.
import { join } from 'node:path';
import type { Command } from 'commander';
import type pg from 'pg';
import { readMigrations, versionOf } from '../adapters/postgres/schema/migrations.ts';
import { type StoreStatus, storeStatus } from '../adapters/postgres/schema/status.ts';
import { isError, TrunklineError } from '../base/errors.ts';
import { inspectLog, type LogInspection } from '../log/inspect.ts';
import { checkIsDirectory } from '../runtime/directory.ts';
import {
  type HandlerState,
  type RunningHandler,
  readHandlers,
  readMessageCounts,
  readRunning,
} from '../runtime/offline-handlers.ts';
import type { MessageCounts } from '../wire/message.ts';
import { type ConnectionOptions, connected, withConnection } from './connection.ts';
import { type OutputOptions, output, withJson } from './output.ts';
import { placeOf } from './place.ts';
import { bytes, table } from './table.ts';
import { dataDirOption } from './words.ts';

/** A handler, and how many log positions it has not come to; its state if a service runs it. */
type HandlerLine = HandlerState & Partial<RunningHandler> & { readonly lagPositions: number | undefined };

interface Status {
  log?: LogInspection;
  /** undefined: they are kept in PostgreSQL, and its place is not given. */
  handlers?: HandlerLine[] | undefined;
  /** Between aggregates. */
  messages?: MessageCounts;
  store?: {
    schema: string;
    version: number;
    latestVersion: number;
    status: StoreStatus | undefined;
    /** Whether the log is stored there; undefined: no log was named, or the schema is too old to tell. */
    holdsLog?: boolean | undefined;
  };
}

export function addStatus(program: Command): void {
  withJson(withConnection(program.command('status')))
    .description('how far a log and its handlers (--data-dir) and a store (--postgres) are')
    .addOption(dataDirOption('the data directory of a runtime; it may be running'))
    .action(async (options: ConnectionOptions & OutputOptions & { dataDir?: string }, command: Command) => {
      const { dataDir, postgres, schema } = options;
      if (dataDir === undefined && postgres === undefined) {
        command.error('error: give --data-dir, --postgres, or both');
      }
      const status: Status = dataDir === undefined ? {} : await statusOfDirectory({ ...options, dataDir });
      if (postgres !== undefined) {
        status.store = await connected(options, (client) => statusOfStore(client, schema, status.log?.logId));
      }
      output(options, status, () => linesOf(status));
    });
}

async function statusOfDirectory(options: ConnectionOptions & { dataDir: string }): Promise<Status> {
  const { dataDir } = options;
  checkIsDirectory(dataDir);
  const log = inspectLog(join(dataDir, 'log'));
  if (log === undefined) throw new TrunklineError('DataDirUnreadable', { dataDir, reason: 'there is no log in it' });
  const place = await placeOf({ ...options, postgres: undefined });
  const [handlers, messages] = await Promise.all([handlersOf(options, log), readMessageCounts(place, !log.isClean)]);
  return { log, handlers, messages };
}

async function handlersOf(
  options: ConnectionOptions & { dataDir: string },
  { lastPosition, fault, isClean }: LogInspection,
): Promise<HandlerLine[] | undefined> {
  try {
    const place = await placeOf(options);
    const [handlers, running] = await Promise.all([readHandlers(place), isClean ? undefined : readRunning(place)]);
    const states = new Map(running?.map((one) => [one.name, one]));
    return handlers.map((handler) => ({
      ...handler,
      ...states.get(handler.name),
      lagPositions: fault === undefined ? Math.max(0, lastPosition - handler.position) : undefined,
    }));
  } catch (error) {
    if (isError(error, 'InvalidOptions') && error.details.option === '--postgres') return undefined;
    throw error;
  }
}

async function statusOfStore(
  client: pg.Client,
  schema: string,
  ofLog: string | undefined,
): Promise<NonNullable<Status['store']>> {
  const known = await readMigrations();
  const version = await versionOf(client, schema, known);
  if (version === 0) throw new TrunklineError('StoreSchemaMissing', { schema, reason: 'it has no tables of ours' });
  const status = version < known.length ? undefined : await storeStatus(client, schema);
  const logs = status?.checkpoints.map(({ logId }) => logId);
  const holdsLog = ofLog === undefined ? undefined : logs?.includes(ofLog);
  return { schema, version, latestVersion: known.length, status, holdsLog };
}

function linesOf({ log, handlers, messages, store }: Status): string[] {
  return [
    ...(log === undefined ? [] : [...logLines(log), ...handlerLines(handlers)]),
    ...(messages === undefined ? [] : [messageLine(messages)]),
    ...(store === undefined ? [] : storeLines(store, log?.logId)),
  ];
}

function logLines({ logId, isClean, firstPosition, lastPosition, fault, bytes: size }: LogInspection): string[] {
  const state = `${isClean ? 'closed in order' : 'in use, or not closed in order'}, ${bytes(size)}`;
  const positions = lastPosition === 0 ? 'empty' : `positions ${firstPosition} to ${lastPosition}`;
  const held = fault === undefined ? positions : `positions cannot be read: ${fault}; the next start recovers it`;
  return [`log ${logId}`, `  ${state}`, `  ${held}`];
}

function handlerLines(handlers: readonly HandlerLine[] | undefined): string[] {
  if (handlers === undefined) return ['handlers: kept in PostgreSQL; give --postgres as well'];
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

function storeLines(store: NonNullable<Status['store']>, logId: string | undefined): string[] {
  const { schema, version, latestVersion, status, holdsLog } = store;
  const head = `schema ${schema}: version ${version} of ${latestVersion}`;
  if (status === undefined) return [`${head}; run trunkline migrate`];
  const { checkpoints, outbox, quarantined } = status;
  const logs = checkpoints.map(({ logId, position, updatedAt }) => [logId, position, updatedAt.toISOString()]);
  const oldest = outbox.oldestMs === undefined ? '' : `, the oldest for ${outbox.oldestMs} ms`;
  return [
    head,
    ...(holdsLog === false ? [`  it does not hold log ${logId}: what follows is of other services`] : []),
    ...(logs.length > 0 ? table(['log', 'stored up to', 'at'], logs) : []),
    `quarantined events: ${quarantined}`,
    `outbox: ${outbox.waiting} events wait${oldest}`,
    ...outbox.claimed.map(({ logId, events }) => `  ${events} more are claimed for log ${logId}`),
  ];
}
