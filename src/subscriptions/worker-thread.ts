// Entry of a handler's own threads: a leaf, run by Piscina. Imports the user's module, and calls its default export
// for one event after the other.

import { type MessagePort, workerData } from 'node:worker_threads';
import { guarded } from '../base/guarded.ts';
import { tame } from '../base/tame.ts';
import { confineModules, importUserModule } from '../base/user-module.ts';
import { type LetterRecord, letterEvent } from '../dead-letters/letters.ts';

/** One attempt, as it comes here. */
export interface WorkerTask {
  /** undefined: only load the module. */
  event: LetterRecord['event'] | undefined;
  effectKey: string;
  attempt: number;
  dryRun: boolean;
  /** From the thread: {@link WorkerNote}. To it: the attempt is aborted, and why. */
  port: MessagePort;
}

/** The handler is called now; it has thrown, and the thread goes on; or its module cannot be loaded, and the thread, which will never load it again, ends. */
export type WorkerNote = 'begun' | 'threw' | { failed: string };

export interface WorkerHandlerData {
  module: string;
  moduleRoots: readonly string[] | undefined;
}

type Handler = (event: unknown, delivery: object) => unknown;

let handler: Promise<Handler> | undefined;

async function load(): Promise<Handler> {
  const { module, moduleRoots } = workerData as WorkerHandlerData;
  confineModules(moduleRoots);
  const { default: handle } = await importUserModule(module);
  if (typeof handle !== 'function') throw new Error(`${module} has no default export that is a function`);
  return handle as Handler;
}

export default async function handleEvent({ event, port, ...delivery }: WorkerTask): Promise<void> {
  const controller = new AbortController();
  port.once(
    'message',
    guarded((reason: string) => controller.abort(new Error(reason))),
  );
  try {
    handler ??= load();
    const handle = await handler.catch((error: unknown) => {
      port.postMessage({ failed: tame(error) } satisfies WorkerNote);
      process.exit(1);
    });
    port.postMessage('begun' satisfies WorkerNote);
    if (event !== undefined) await handle(letterEvent({ event }), { ...delivery, signal: controller.signal });
  } catch (error) {
    port.postMessage('threw' satisfies WorkerNote);
    throw error;
  } finally {
    port.close();
  }
}
