// Dead letters from outside of the runtime: read at any time; changed by asking the owner of the data directory, or, when
// no process owns it, by owning it for a moment. Without an owner a requeue is noted, and carried out at the handler's next start.

import { join, resolve } from 'node:path';
import { dataFileOf } from '../adapters/lmdb/handlers/environment.ts';
import { LmdbTables } from '../adapters/lmdb/handlers/tables.ts';
import { existsSync, readdirSync } from '../base/disk.ts';
import { isError, TrunklineError } from '../base/errors.ts';
import { tame } from '../base/tame.ts';
import { DeadLetters, type RunningHandlers } from '../dead-letters/dead-letters.ts';
import { letterTable } from '../dead-letters/letters.ts';
import { MessageBox } from '../dead-letters/message-box.ts';
import { MessageLetters } from '../dead-letters/message-letters.ts';
import type { DownShard } from '../dispatch/shard-lives.ts';
import { checkpointOf, checkpointTable } from '../handler-state/checkpoint.ts';
import { StateTables } from '../handler-state/handler-state.ts';
import type { HandlerStateStore } from '../handler-state/handler-state-store.ts';
import { recordsOf } from '../handler-state/records.ts';
import { loadHandlerState, type RemoteHandlerState } from '../handler-state/state-adapter.ts';
import type { StoreOptions } from '../store/adapter.ts';
import { Beginnings, beginningsFile } from '../subscriptions/beginnings.ts';
import type { SubscriptionState } from '../subscriptions/handlers.ts';
import type { ReplayProgress } from '../subscriptions/replay.ts';
import type { MessageCounts } from '../wire/message.ts';
import { ask } from './ask-owner.ts';
import { openDirectory } from './directory.ts';
import { type ForgottenHandler, forget, needed } from './forget-handler.ts';
import { type HandlerRequest, requestsFolder } from './request-files.ts';

export { REQUEST_BYTES_LIMIT } from './request-files.ts';

const answerTimeoutMs = 30_000;

const nothingKept: HandlerStateStore = {
  get: () => undefined,
  range: () => [],
  commit: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

/** A store elsewhere, and which log's entries in it. */
export interface StoreOfLog {
  readonly options: StoreOptions;
  readonly logId: string;
}

/** A data directory's handlers, as another process has to know them. */
export interface Place {
  readonly dataDir: string;
  readonly handlersFolder: string;
  /** If the events are there, so is what handlers keep. */
  readonly store: StoreOfLog | undefined;
}

export const handlersFolderOf = (dataDir: string): string => join(resolve(dataDir), 'handlers');

/** Says that what handlers keep is not in their folder, but in a store of this kind. */
export const elsewhereFile = (handlersFolder: string, kind: string): string => join(handlersFolder, `in-${kind}`);

/** The kind of the store that keeps what handlers keep; undefined: their folder does. */
export function keptElsewhere(handlersFolder: string): string | undefined {
  if (!existsSync(handlersFolder)) return undefined;
  return readdirSync(handlersFolder)
    .find((name) => /^in-[a-z]+$/.test(name))
    ?.slice('in-'.length);
}

/** Read; nothing is kept open afterwards. @throws InvalidOptions: they are in a store, and `place` does not name it */
export async function readDeadLetters<T>(place: Place, read: (deadLetters: DeadLetters) => Promise<T>): Promise<T> {
  return using(async () => (await tablesOf(place)) ?? LmdbTables.read(place.handlersFolder) ?? nothingKept, read);
}

/** Dead letters of messages: they are on this machine, wherever the events are. */
export async function readMessageLetters<T>(place: Place, read: (letters: MessageLetters) => Promise<T>): Promise<T> {
  return using(
    async () => LmdbTables.read(place.handlersFolder) ?? nothingKept,
    ({ messages }) => read(messages),
  );
}

const countsTimeoutMs = 3_000;
const countLimit = 1_000_000;

/** `isInUse`: a service may run on the directory; it knows more than what is kept. */
export async function readMessageCounts(place: Place, isInUse: boolean): Promise<MessageCounts> {
  const { handlersFolder } = place;
  if (isInUse && existsSync(requestsFolder(handlersFolder))) {
    try {
      return (await ask(handlersFolder, { kind: 'messageCounts' }, { timeoutMs: countsTimeoutMs })) as MessageCounts;
    } catch {} // it was killed, or is of an earlier release
  }
  const { length: deadLetters } = await readMessageLetters(place, (letters) => letters.list({ limit: countLimit }));
  return { deadLetters };
}

/** A handler as the service that runs it says. */
export interface RunningHandler {
  readonly name: string;
  readonly state: SubscriptionState;
  readonly lastError?: string;
}

/** Those of the service that runs on the directory; undefined: none runs, or it does not answer. */
export function readRunning(place: Place): Promise<RunningHandler[] | undefined> {
  return askService(place, 'subscriptions');
}

/** The shards of the service that are down; undefined: none runs, or it does not answer. */
export function readDownShards(place: Place): Promise<DownShard[] | undefined> {
  return askService(place, 'shards');
}

async function askService<T>({ handlersFolder }: Place, kind: 'subscriptions' | 'shards'): Promise<T | undefined> {
  if (!existsSync(requestsFolder(handlersFolder))) return undefined;
  try {
    return (await ask(handlersFolder, { kind }, { timeoutMs: countsTimeoutMs })) as T;
  } catch {
    return undefined; // it was killed, or is of an earlier release
  }
}

async function stateIn({ options }: StoreOfLog): Promise<RemoteHandlerState> {
  const state = await loadHandlerState(options);
  if (state) return state;
  const reason = `the ${options.name} store keeps nothing of handlers`;
  throw new TrunklineError('InvalidOptions', { option: 'store', reason });
}

/** The directory says where they are: a store that an option, or a variable of the shell, names does not decide it. */
async function tablesOf({ handlersFolder, store }: Place): Promise<HandlerStateStore | undefined> {
  const kind = keptElsewhere(handlersFolder);
  if (kind === undefined) return undefined;
  if (store) return (await stateIn(store)).tables(store.options.settings, store.logId, 1);
  const reason = 'is missing: this service keeps its events and dead letters in that store';
  throw new TrunklineError('InvalidOptions', { option: `--${kind}`, reason });
}

/**
 * Requeue, discard or edit. `unchecked`: an edit needs no service, which alone knows the event's schema.
 * @throws ServiceNotRunning (edit; requeue as a dry run)
 */
export async function changeDeadLetters(
  place: Place,
  request: Change,
  { unchecked = false }: { unchecked?: boolean } = {},
): Promise<unknown> {
  const { dataDir, handlersFolder } = place;
  const directory = own(dataDir);
  if (directory === undefined) return ask(handlersFolder, request, { timeoutMs: answerTimeoutMs });
  try {
    if (request.kind === 'requeue' && request.dryRun === true) {
      const reason =
        'a dry run calls the handler, and only it has the code; without --dry-run its next start handles them';
      throw new TrunklineError('ServiceNotRunning', { dataDir, reason });
    }
    if (request.kind === 'edit' && !unchecked) {
      const reason = "the event's schema is known only there; --unchecked edits without it";
      throw new TrunklineError('ServiceNotRunning', { dataDir, reason });
    }
    return await using(
      async () => (request.kind === 'messages' ? undefined : await tablesOf(place)) ?? LmdbTables.open(handlersFolder),
      (deadLetters) => carryOut(deadLetters, request),
    );
  } finally {
    directory.release();
  }
}

/** Ask the service that runs on this directory. @throws ServiceNotRunning, at once; what it answers */
export async function askOwner(
  { dataDir, handlersFolder }: Place,
  request: HandlerRequest,
  onProgress: (progress: ReplayProgress) => void,
): Promise<unknown> {
  const directory = own(dataDir);
  if (directory === undefined) return ask(handlersFolder, request, { timeoutMs: answerTimeoutMs, onProgress });
  directory.release();
  throw new TrunklineError('ServiceNotRunning', { dataDir, reason: "only it has the handlers' code" });
}

/** undefined: a service owns it. */
function own(dataDir: string): ReturnType<typeof openDirectory> | undefined {
  try {
    return openDirectory(dataDir);
  } catch (error) {
    if (isError(error, 'DataDirInUse')) return undefined;
    throw error;
  }
}

type Change = Exclude<HandlerRequest, { kind: 'replay' | 'forget' | 'messageCounts' | 'subscriptions' | 'shards' }>;

/**
 * Forget a handler that is gone permanently: by the service that runs on the directory, or else here.
 * @throws UnknownSubscription, HandlerNeeded
 */
export async function forgetHandler(place: Place, handler: string, dryRun: boolean): Promise<ForgottenHandler> {
  const { dataDir, handlersFolder, store } = place;
  const directory = own(dataDir);
  const request = { kind: 'forget', handler, dryRun } as const;
  if (directory === undefined) {
    return (await ask(handlersFolder, request, { timeoutMs: answerTimeoutMs })) as ForgottenHandler;
  }
  const places: StateTables[] = [];
  try {
    const remote = await tablesOf(place);
    if (remote !== undefined) places.push(await tablesOn(async () => remote));
    if (existsSync(dataFileOf(handlersFolder))) places.push(await tablesOn(() => LmdbTables.open(handlersFolder)));
    const traces = remote && store && (await stateIn(store)).traces(store.options.settings, store.logId);
    const beginnings = store && new Beginnings(beginningsFile(handlersFolder), store.logId);
    return await forget({ places, remote: traces, beginnings, ...nothingRuns }, handler, dryRun);
  } finally {
    for (const handlerState of places) await handlerState.close();
    directory.release();
  }
}

const noHandlers: RunningHandlers = { names: [], find: () => undefined, keptAs: (name) => name };
const nothingRuns = { isRunning: () => false, hold: () => {} };
const quietMs = 60_000;

/**
 * The same for a log whose machine is lost permanently: the database is all that is left of it.
 * @throws StoreUnsuitable, HandlerNeeded, UnknownSubscription
 */
export async function forgetLostHandler(
  store: StoreOfLog,
  handler: string,
  dryRun: boolean,
): Promise<ForgottenHandler> {
  const { logId } = store;
  const { settings } = store.options;
  const state = await stateIn(store);
  const traces = state.traces(settings, logId);
  const silentMs = await traces.silentMs();
  if (silentMs !== undefined && silentMs < quietMs) {
    throw needed(handler, `log ${logId} was in use ${Math.ceil(silentMs / 1000)} s ago; give its --data-dir instead`);
  }
  const handlerState = await tablesOn(async () => state.tables(settings, logId, 1));
  try {
    return await forget(
      { places: [handlerState], remote: traces, beginnings: undefined, ...nothingRuns },
      handler,
      dryRun,
    );
  } finally {
    await handlerState.close();
  }
}

/** What a request asks of the dead letters. @throws UnknownSubscription: no such handler, running or not */
export async function carryOut(deadLetters: DeadLetters, request: Change): Promise<unknown> {
  if (request.kind === 'messages') return deadLetters.messages[request.action](request.which);
  if (request.kind === 'edit') return deadLetters.edit(request.id, request.data);
  if (typeof request.which === 'object') await deadLetters.checkHandler(request.which?.handler);
  return deadLetters[request.kind](request.which, { dryRun: request.dryRun });
}

/** How a handler stands, as far as its place tells. */
export interface HandlerState {
  readonly name: string;
  /** Everything up to this log position is handled or parked. */
  readonly position: number;
  readonly isPaused: boolean;
  readonly deadLetters: number;
  readonly updatedAt: string;
}

/** All handlers that have kept anything, by name. @throws InvalidOptions: it is in a store, and `place` does not name it */
export async function readHandlers(place: Place): Promise<HandlerState[]> {
  return usingTables(
    async () => (await tablesOf(place)) ?? LmdbTables.read(place.handlersFolder) ?? nothingKept,
    async (handlerState) => {
      const letters = new Map<string, number>();
      for await (const { key } of handlerState.entries(letterTable)) {
        const name = key.slice(0, key.indexOf('\0'));
        letters.set(name, (letters.get(name) ?? 0) + 1);
      }
      const handlers: HandlerState[] = [];
      for await (const { key: name, record } of recordsOf(handlerState, checkpointTable, checkpointOf)) {
        const { low: position, paused: isPaused = false, updatedAt } = record;
        handlers.push({ name, position, isPaused, deadLetters: letters.get(name) ?? 0, updatedAt });
      }
      return handlers;
    },
  );
}

const using = <T>(
  open: () => Promise<HandlerStateStore>,
  action: (deadLetters: DeadLetters) => Promise<T>,
): Promise<T> =>
  usingTables(open, (handlerState) => {
    const messages = new MessageLetters(new MessageBox(handlerState, () => true), undefined);
    return action(new DeadLetters(handlerState, noHandlers, new Map(), messages));
  });

async function tablesOn(open: () => Promise<HandlerStateStore>): Promise<StateTables> {
  const handlerState = new StateTables(open, {
    checkpointDelayMs: 0,
    stagedChangesLimit: Number.MAX_SAFE_INTEGER,
    onError(error) {
      throw error;
    },
    onBroken({ table, key }, { message }) {
      process.emitWarning(`entry '${table}/${tame(key)}' is passed over: ${message}`, 'RecordInvalid');
    },
  });
  await handlerState.open();
  return handlerState;
}

async function usingTables<T>(
  open: () => Promise<HandlerStateStore>,
  action: (handlerState: StateTables) => Promise<T>,
): Promise<T> {
  const handlerState = await tablesOn(open);
  try {
    return await action(handlerState);
  } finally {
    await handlerState.close();
  }
}
