// Dead letters from outside of the runtime: read at any time; changed by asking the owner of the data directory, or, when
// nobody owns it, by owning it for a moment. Without an owner a requeue is noted, and carried out at the handler's next start.
import { openDirectory } from '../directory.ts';
import { isError } from '../errors.ts';
import { DeadLetters } from './dead-letters.ts';
import { LmdbTables } from './lmdb/tables.ts';
import { ask, type HandlerRequest } from './requests.ts';
import type { TableStore } from './table-store.ts';
import { Tables } from './tables.ts';

const answerTimeoutMs = 30_000;

const nothingKept: TableStore = {
  get: () => undefined,
  range: () => [],
  commit: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

/** Read; nothing is kept open afterwards. */
export async function readDeadLetters<T>(
  handlersFolder: string,
  read: (deadLetters: DeadLetters) => Promise<T>,
): Promise<T> {
  return using(async () => LmdbTables.read(handlersFolder) ?? nothingKept, read);
}

/** Requeue, discard or edit. */
export async function changeDeadLetters(
  dataDir: string,
  handlersFolder: string,
  request: Extract<HandlerRequest, { kind: 'requeue' | 'discard' | 'edit' }>,
): Promise<unknown> {
  let directory: ReturnType<typeof openDirectory>;
  try {
    directory = openDirectory(dataDir);
  } catch (error) {
    if (isError(error, 'DataDirInUse')) return ask(handlersFolder, request, { timeoutMs: answerTimeoutMs });
    throw error;
  }
  try {
    return await using(
      () => LmdbTables.open(handlersFolder),
      (deadLetters) => carryOut(deadLetters, request),
    );
  } finally {
    directory.release();
  }
}

/** What a request asks of the dead letters. */
export function carryOut(
  deadLetters: DeadLetters,
  request: Extract<HandlerRequest, { kind: 'requeue' | 'discard' | 'edit' }>,
): Promise<unknown> {
  if (request.kind === 'edit') return deadLetters.edit(request.id, request.data);
  return deadLetters[request.kind](request.which, { dryRun: request.dryRun });
}

async function using<T>(open: () => Promise<TableStore>, action: (deadLetters: DeadLetters) => Promise<T>): Promise<T> {
  const tables = new Tables(open, {
    checkpointDelayMs: 0,
    stagedChangesLimit: Number.MAX_SAFE_INTEGER,
    onError(error) {
      throw error;
    },
  });
  await tables.open();
  try {
    return await action(new DeadLetters(tables, new Map(), new Map()));
  } finally {
    await tables.close();
  }
}
