// Plain worker threads of the runtime's own: started from a file beside the caller and awaited to their end. They are told to
// stop by a flag, and return: native code may be running in them. Only one that a user's code holds is terminated.
import { type Transferable, Worker } from 'node:worker_threads';
import { TrunklineError } from './errors.ts';
import { ownFile } from './own-file.ts';

export class Thread {
  readonly name: string;
  readonly worker: Worker;
  /** Resolves when the thread has returned; rejects with `ThreadFailed` if it died of an error. */
  readonly ended: Promise<void>;

  /** `entry`: path without extension, relative to `base` (`import.meta.url` of the caller). */
  constructor(name: string, entry: string, base: string, workerData: unknown, transferList: Transferable[]) {
    this.name = name;
    this.worker = new Worker(ownFile(entry, base), {
      workerData,
      transferList,
      name: `trunkline ${name}`,
    });
    this.ended = new Promise((resolve, reject) => {
      const fail = (cause: string): void => reject(new TrunklineError('ThreadFailed', { thread: name, cause }));
      this.worker.once('error', (error) =>
        fail(error instanceof Error ? (error.stack ?? error.message) : String(error)),
      );
      this.worker.once('exit', (code) => (code === 0 ? resolve() : fail(`exit code ${code}`)));
    });
    this.ended.catch(() => {}); // whoever waits for it gets it; nobody has to
  }

  /** End it where it stands; `ended` rejects. It must be outside of every transaction, see `log/gate.ts`. */
  async terminate(): Promise<void> {
    await this.worker.terminate();
  }
}
