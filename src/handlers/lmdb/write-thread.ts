// Entry of the handlers' write thread: a leaf. Sole writer of their environment, so that no fsync holds up whoever hands it
// changes. Each request is one synced transaction. workerData: {@link WriteThreadData}.
import { mkdirSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { syncFolder } from '../../durable-file.ts';
import type { Change } from '../table-store.ts';
import { type Environment, keyOf, openEnvironment } from './environment.ts';
import { originKey, originTable } from './origin.ts';

export interface WriteThreadData {
  folder: string;
  /** Whose positions they are: told to an environment that does not know yet. */
  logId: string | undefined;
}

/** null: end. */
export type WriteRequest = { changes: readonly Change[] } | null;

/** One for the start, then one per request, in order. */
export type WriteReply = { error: string | undefined };

const { folder, logId } = workerData as WriteThreadData;
const port = parentPort!;

function start(): Environment {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const environment = openEnvironment(folder, false);
  syncFolder(folder);
  const origin = keyOf(originTable, originKey);
  if (logId !== undefined && !environment.doesExist(origin)) {
    environment.transactionSync(() => environment.putSync(origin, Buffer.from(JSON.stringify(logId))));
  }
  return environment;
}

function attempt(action: () => void): WriteReply {
  try {
    action();
    return { error: undefined };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

let environment: Environment | undefined;
port.postMessage(
  attempt(() => {
    environment = start();
  }),
);
port.on('message', async (request: WriteRequest) => {
  if (request === null) {
    await environment?.close();
    port.close();
    return;
  }
  port.postMessage(
    attempt(() =>
      environment!.transactionSync(() => {
        for (const { table, key, json } of request.changes) {
          if (json === undefined) environment!.removeSync(keyOf(table, key));
          else environment!.putSync(keyOf(table, key), Buffer.from(json));
        }
      }),
    ),
  );
});
