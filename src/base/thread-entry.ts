// The inside of a thread of the runtime's own (`thread.ts`): its data, its end of the channel to the caller, and how it ends.
//
// Invariant: a thread whose work is done ends, whatever else is open in it. A preload (`--import`, `--require`: metrics,
// tracing, a debugger) runs in each thread, and may leave a timer, a server or a listener there, which would keep it.
import { type MessagePort, workerData } from 'node:worker_threads';
import { pause } from './clock.ts';
import { unawaited } from './guarded.ts';

/** How a thread has ended: of an error, or as it should. */
export interface ThreadEnd {
  cause: string | undefined;
}

interface OwnData {
  port: MessagePort;
  end: MessagePort;
}

/** Data as the caller has given them. */
export const threadData = <Data>(): Data => workerData as Data;

/** The channel to the caller. */
export const threadPort: MessagePort = (workerData as OwnData).port;

/**
 * All of a thread: do its work, and end it. `work` settles once no native code runs any more. `graceMs`: what user code has
 * left open, and closes by itself, may take so long.
 */
export function runThread(work: () => unknown, graceMs = 0): void {
  unawaited(run(work, graceMs));
}

async function run(work: () => unknown, graceMs: number): Promise<void> {
  const { end } = workerData as OwnData;
  let cause: string | undefined;
  try {
    await work();
  } catch (error) {
    cause = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  threadPort.close();
  // Before any other listener, which may hold the thread: the caller then ends it. Also where it ends within its grace.
  process.prependOnceListener('exit', () => end.postMessage({ cause } satisfies ThreadEnd));
  if (graceMs > 0 && cause === undefined) await pause(graceMs, undefined, { ref: false });
  process.exit(cause === undefined ? 0 : 1); // ends this thread, not the process
}
