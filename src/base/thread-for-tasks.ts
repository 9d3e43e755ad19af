// One thread that runs tasks: a Piscina of one thread, which is made once there is a task for it. Owned by the host thread.
//
// A pool of several threads keeps a task whose thread cannot be made (no descriptor is free, no process may be added) until
// another thread is free, and throws where it replaces a thread that has ended: into the process. Here a task is lost with its
// thread, and its caller decides what comes next.
import type { Transferable } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { guarded } from './guarded.ts';
import { threadArguments } from './thread-arguments.ts';

export class TaskThread {
  private readonly pool: Piscina;
  /** The pool holds a task whose promise no caller has: whatever ended that task would be an unhandled rejection. */
  private isForsaken = false;
  private hasThread = false;

  /** `filename`: the file whose default export runs a task. `graceMs`: how long a task may still run at the end. */
  constructor(filename: URL, workerData: object | undefined, graceMs: number) {
    this.pool = new Piscina({
      filename: filename.href,
      workerData,
      minThreads: 0,
      maxThreads: 1,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      closeTimeout: graceMs,
      ...threadArguments(),
    });
    // A thread's death shows as its task's rejection; without a listener the event would be thrown as well.
    this.pool.on('error', () => {});
    const made = guarded(() => {
      this.hasThread = true;
    });
    this.pool.on('workerCreate', made);
  }

  /** A thread has been made and has loaded the task's file. Until then nothing but the system, or Node's own start, can have failed. */
  get isMade(): boolean {
    return this.hasThread;
  }

  /**
   * Run one task, when no other runs here. It also rejects when the thread cannot be made, or has ended before it took the
   * task. `stop` ends the thread. After a rejection that is not the task's own no further task may be run here.
   */
  async run(task: object, transferList: Transferable[], stop: AbortController): Promise<void> {
    const { pool } = this;
    let cause: unknown;
    const failed = guarded((error: unknown) => {
      cause = error;
    });
    // The pool forgets the thread behind this event, and would keep the task for another.
    const gone = guarded(async () => {
      await undefined;
      if (pool.queueSize === 0) return;
      cause ??= new Error('its thread has ended before it took its task');
      stop.abort();
    });
    pool.once('error', failed);
    pool.once('workerDestroy', gone);
    try {
      await this.begin(task, transferList, stop.signal);
    } catch (error) {
      throw cause ?? error;
    } finally {
      pool.off('error', failed);
      pool.off('workerDestroy', gone);
    }
  }

  private begin(task: object, transferList: Transferable[], signal: AbortSignal): Promise<void> {
    try {
      return this.pool.run(task, { transferList: transferList as never, signal });
    } catch (error) {
      this.isForsaken = true;
      throw error;
    }
  }

  /** Take the task from the thread and end it where it stands; resolves once it has ended. */
  async terminate(stop: AbortController): Promise<void> {
    if (this.isForsaken) return;
    const { threads } = this.pool;
    stop.abort();
    await Promise.all(threads.map((thread) => thread.terminate()));
  }

  /** End the thread once its task has ended, or after `graceMs`. */
  async close(): Promise<void> {
    if (!this.isForsaken) await this.pool.close({ force: true });
  }
}
