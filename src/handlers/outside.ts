// Dead letters from outside of the runtime: read at any time; changed by asking the owner of the data directory, or, when
// nobody owns it, by owning it for a moment. Without an owner a requeue is noted, and carried out at the handler's next start.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openDirectory } from '../directory.ts';
import { isError, TrunklineError } from '../errors.ts';
import type { PostgresSettings } from '../store/postgres/postgres.ts';
import { DeadLetters } from './dead-letters.ts';
import { LmdbTables } from './lmdb/tables.ts';
import { MessageBox } from './message-box.ts';
import { MessageLetters } from './message-letters.ts';
import { PostgresTables } from './postgres/tables.ts';
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

/** A data directory's handlers, as somebody outside has to know them. */
export interface Place {
  readonly dataDir: string;
  readonly handlersFolder: string;
  /** If the events are there, so is what handlers keep. */
  readonly postgres: { readonly settings: PostgresSettings; readonly logId: string } | undefined;
}

/** Says to those outside that what handlers keep is not in their folder. */
export const elsewhereFile = (handlersFolder: string): string => join(handlersFolder, 'in-postgres');

/** Read; nothing is kept open afterwards. @throws InvalidOptions: they are in PostgreSQL, and nobody has said where */
export async function readDeadLetters<T>(place: Place, read: (deadLetters: DeadLetters) => Promise<T>): Promise<T> {
  return using(async () => tablesOf(place) ?? LmdbTables.read(place.handlersFolder) ?? nothingKept, read);
}

/** Dead letters of messages: they are on this machine, wherever the events are. */
export async function readMessageLetters<T>(place: Place, read: (letters: MessageLetters) => Promise<T>): Promise<T> {
  return using(
    async () => LmdbTables.read(place.handlersFolder) ?? nothingKept,
    ({ messages }) => read(messages),
  );
}

function tablesOf({ handlersFolder, postgres }: Place): PostgresTables | undefined {
  if (postgres) return new PostgresTables(postgres.settings, postgres.logId, 1);
  if (!existsSync(elsewhereFile(handlersFolder))) return undefined;
  const reason = 'is missing: this service keeps its events and dead letters in PostgreSQL';
  throw new TrunklineError('InvalidOptions', { option: '--postgres', reason });
}

type Change = Exclude<HandlerRequest, { kind: 'replay' }>;

/** Requeue, discard or edit. */
export async function changeDeadLetters(place: Place, request: Change): Promise<unknown> {
  const { dataDir, handlersFolder } = place;
  let directory: ReturnType<typeof openDirectory>;
  try {
    directory = openDirectory(dataDir);
  } catch (error) {
    if (isError(error, 'DataDirInUse')) return ask(handlersFolder, request, { timeoutMs: answerTimeoutMs });
    throw error;
  }
  try {
    return await using(
      async () => (request.kind === 'messages' ? undefined : tablesOf(place)) ?? LmdbTables.open(handlersFolder),
      (deadLetters) => carryOut(deadLetters, request),
    );
  } finally {
    directory.release();
  }
}

/** What a request asks of the dead letters. */
export function carryOut(deadLetters: DeadLetters, request: Change): Promise<unknown> {
  if (request.kind === 'messages') return deadLetters.messages[request.action](request.which);
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
    const messages = new MessageLetters(new MessageBox(tables, () => true), () => undefined);
    return await action(new DeadLetters(tables, new Map(), new Map(), messages));
  } finally {
    await tables.close();
  }
}
