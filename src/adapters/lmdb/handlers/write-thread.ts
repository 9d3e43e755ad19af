// Entry of the handlers' write thread: a leaf. Sole writer of their environment, so that no fsync holds up the thread that hands it
// changes. Each request is one synced transaction. Its data: {@link WriteThreadData}.
import { guarded } from '../../../base/guarded.ts';
import { LmdbRoom } from '../../../base/lmdb-file.ts';
import { runThread, threadData, threadPort } from '../../../base/thread-entry.ts';
import type { Change } from '../../../handler-state/handler-state-store.ts';
import { dataFileOf, type Environment, keyOf, openEnvironment } from './environment.ts';
import { originKey, originTable } from './origin.ts';

export interface WriteThreadData {
  folder: string;
  /** Whose positions they are: told to an environment that does not know yet. */
  logId: string | undefined;
}

/** null: end. */
export type WriteRequest = { changes: readonly Change[] } | null;

/** One for the start, then one per request, in order. */
export type WriteReply = {
  error: string | undefined;
  /** The write has failed on the disk: nothing is written any more, and the error is the same from now on. */
  isFinal?: boolean;
};

/** What the file grows by beyond what is needed. */
const aheadBytes = 1 << 20;

const { folder, logId } = threadData<WriteThreadData>();

function start(): Environment {
  const environment = openEnvironment(folder, false);
  try {
    room = new LmdbRoom(dataFileOf(folder), [environment], aheadBytes);
    const origin = keyOf(originTable, originKey);
    if (logId !== undefined && !environment.doesExist(origin)) {
      environment.transactionSync(() => environment.putSync(origin, Buffer.from(JSON.stringify(logId))));
    }
    return environment;
  } catch (error) {
    room?.close();
    environment.close().catch(() => {}); // the reason is what counts
    throw error;
  }
}

let environment: Environment | undefined;
let room: LmdbRoom | undefined;
let failure: string | undefined;

function attempt(action: () => void): WriteReply {
  try {
    action();
    return { error: undefined };
  } catch (error) {
    return { error: wordsOf(error) };
  }
}

/** A commit begins if there is room for it. One that has failed on the disk is the last: LMDB promises nothing afterwards. */
function commit(changes: readonly Change[]): WriteReply {
  if (failure !== undefined) return { error: failure, isFinal: true };
  const entries = changes.map(({ table, key, json }) => ({ key: keyOf(table, key), json }));
  const bytes = entries.reduce((sum, { key, json }) => sum + key.length + Buffer.byteLength(json ?? ''), 0);
  let isAdmitted = false;
  const { error } = attempt(() =>
    environment!.transactionSync(() => {
      room!.require({ puts: entries.length, removals: 0, bytes });
      isAdmitted = true;
      for (const { key, json } of entries) {
        if (json === undefined) environment!.removeSync(key);
        else environment!.putSync(key, Buffer.from(json));
      }
    }),
  );
  if (isAdmitted) failure = error;
  return { error, isFinal: failure !== undefined };
}

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const answer = (reply: WriteReply): void => threadPort.postMessage(reply);

/** Resolves with the request to end. */
function serve(): Promise<void> {
  return new Promise((resolve, reject) => {
    const take = (request: WriteRequest): void => {
      if (request === null) resolve();
      else answer(commit(request.changes));
    };
    threadPort.on('message', guarded(take, reject));
  });
}

runThread(async () => {
  answer(
    attempt(() => {
      environment = start();
    }),
  );
  await serve();
  await environment?.close();
  room?.close();
});
