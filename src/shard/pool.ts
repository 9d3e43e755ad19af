// The shards' threads: one Piscina pool, one long-lived task in each of its workers. A shard that dies is started again on
// new rings, after its old ones have been read to the end. Host thread.
//
// Invariants: a thread serves one start. A start that is rejected has ended its thread by then, and sealed its rings: the
// pool has no more threads than shards, so the next start would wait indefinitely behind one that lives, and a thread that has
// failed to import a module repeats that error for as long as it lives. A start ends: each of its steps has a bound.

import { Piscina } from 'piscina';
import { ownFile } from '../base/own-file.ts';
import { threadArguments } from '../base/thread-arguments.ts';
import { type PoolEvents, type RunningShard, type ShardSettings, ShardStart } from './shard-start.ts';

/** A start that has not ended, or the shard that came of it. */
interface Running {
  /** Resolves when its thread has returned, or has ended. */
  readonly ended: Promise<void>;
  /** Takes its task from the pool, and ends the thread that has it. */
  readonly thread: AbortController;
}

/** For a thread to begin, beside what one module may take: a machine under load starts threads slowly. */
const beginMs = 60_000;

export class ShardPool {
  private readonly pool: Piscina;
  private readonly settings: ShardSettings;
  private readonly events: PoolEvents;
  private readonly beginMs: number;
  private readonly running = new Set<Running>();

  /** `withinMs`: a thread that has not begun by then is given up. */
  constructor(settings: ShardSettings, events: PoolEvents, withinMs: number = beginMs) {
    this.settings = settings;
    this.events = events;
    this.beginMs = withinMs;
    this.pool = new Piscina({
      filename: ownFile('./thread', import.meta.url).href,
      minThreads: settings.shards,
      maxThreads: settings.shards,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      ...threadArguments(),
    });
    // A worker's death shows as its task's rejection; without a listener the event would be thrown as well.
    this.pool.on('error', () => {});
  }

  /**
   * Start one shard; `attach` gives its event ring to the log thread before the shard writes into it. Rejects once the
   * thread has ended.
   */
  start(index: number, attach: (eventRing: SharedArrayBuffer) => void): Promise<RunningShard> {
    const thread = new AbortController();
    const start = new ShardStart(index, this.settings, this.events, () => this.endThread(thread));
    attach(start.eventRing);
    start.begin(this.beginMs);
    const task = this.pool.run(start.data, { transferList: [...start.ports], signal: thread.signal });
    const running: Running = { ended: this.follow(task, start, () => this.running.delete(running)), thread };
    this.running.add(running);
    return start.started;
  }

  /** Resolves when the thread has ended, and what it has reported has been heard. */
  private async follow(task: Promise<unknown>, start: ShardStart, left: () => void): Promise<void> {
    const cause = await task.then(
      () => '',
      (error: Error) => error?.message ?? String(error),
    );
    await start.hearLast();
    left();
    start.close(cause);
  }

  /** All shards have returned. */
  async ended(): Promise<void> {
    await Promise.all([...this.running].map(({ ended }) => ended));
  }

  /**
   * End the thread of each shard that has not returned, although told to: the code of one command, or of a module that it
   * imports as it starts, holds it, so that no native code of ours runs there.
   */
  async terminateHeld(): Promise<void> {
    await Promise.all([...this.running].map(({ thread }) => this.endThread(thread)));
  }

  /** Resolves once it has ended; the pool itself does not wait for that. */
  private async endThread(thread: AbortController): Promise<void> {
    const before = this.pool.threads;
    thread.abort();
    const after = new Set(this.pool.threads);
    await Promise.all(before.filter((one) => !after.has(one)).map((one) => one.terminate()));
  }

  /** Give the threads back; their tasks have ended, so that no native code runs in them. */
  async close(): Promise<void> {
    await this.ended();
    await this.pool.close();
  }
}
