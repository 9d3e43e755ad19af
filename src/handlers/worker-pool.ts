// A handler in threads of its own: one Piscina pool per subscription. What blocks or ends a thread there costs the service
// nothing; a thread that is gone is a failed attempt, and another takes its place.
import { MessageChannel } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { StoredEvent } from '../event.ts';
import { guarded } from '../guarded.ts';
import type { Call } from './attempts.ts';
import type { Delivery } from './handlers.ts';
import type { WorkerHandlerData, WorkerTask } from './worker-thread.ts';

// `.ts` in development, `.js` when published.
const extension = import.meta.filename.slice(-3);

/** A thread that is blocked for longer is ended where it stands. */
const closeGraceMs = 5_000;

export class WorkerPool {
  private readonly pool: Piscina;

  constructor(module: string, threads: number) {
    const data: WorkerHandlerData = { module };
    this.pool = new Piscina({
      filename: new URL(`./worker-thread${extension}`, import.meta.url).href,
      workerData: data,
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      closeTimeout: closeGraceMs,
    });
    // A worker's death is told by its task's rejection; without a listener the event would be thrown as well.
    this.pool.on('error', () => {});
  }

  readonly call: Call = async (event: StoredEvent, { effectKey, attempt, dryRun, signal }: Delivery) => {
    const { port1, port2 } = new MessageChannel();
    const task: WorkerTask = {
      event: event.toJSON() as WorkerTask['event'],
      effectKey,
      attempt,
      dryRun,
      abort: port2,
    };
    const abort = guarded(() => port1.postMessage(String((signal.reason as Error)?.message ?? signal.reason)));
    signal.addEventListener('abort', abort);
    try {
      await this.pool.run(task, { transferList: [port2] });
    } finally {
      signal.removeEventListener('abort', abort);
      port1.close();
    }
  };

  /** What waits is given up, what runs may end. */
  async close(): Promise<void> {
    await this.pool.close({ force: true });
  }
}
