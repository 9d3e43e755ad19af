// Entry of a handler's own threads: a leaf, run by a Piscina pool. Imports the user's module, and calls its default export
// for one event after the other.

import { type MessagePort, workerData } from 'node:worker_threads';
import { guarded } from '../guarded.ts';
import { importUserModule } from '../user-module.ts';
import { type LetterRecord, letterEvent } from './letters.ts';

/** One attempt, as it comes here. */
export interface WorkerTask {
  event: LetterRecord['event'];
  effectKey: string;
  attempt: number;
  dryRun: boolean;
  /** A message on it aborts the attempt. */
  abort: MessagePort;
}

export interface WorkerHandlerData {
  module: string;
}

type Handler = (event: unknown, delivery: object) => unknown;

let handler: Promise<Handler> | undefined;

async function load(): Promise<Handler> {
  const { module } = workerData as WorkerHandlerData;
  const { default: handle } = await importUserModule(module);
  if (typeof handle !== 'function') throw new Error(`${module} has no default export that is a function`);
  return handle as Handler;
}

export default async function handleEvent({ event, abort, ...delivery }: WorkerTask): Promise<void> {
  const controller = new AbortController();
  abort.once(
    'message',
    guarded((reason: string) => controller.abort(new Error(reason))),
  );
  try {
    handler ??= load();
    await (await handler)(letterEvent({ event }), { ...delivery, signal: controller.signal });
  } finally {
    abort.close();
  }
}
