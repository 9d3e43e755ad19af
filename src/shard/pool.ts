// The shards' threads: a long-lived Piscina task in each. A shard that dies is started again on new rings, after its old ones
// have been read to the end. Host thread.
//
// Invariants: a thread serves one start. A start that is rejected has ended its thread by then, and sealed its rings: a thread
// that has failed to import a module repeats that error for as long as it lives. A start ends: each of its steps has a bound,
// and one whose thread cannot be made is rejected at once.

import { ownFile } from '../base/own-file.ts';
import { TaskThread } from '../base/thread-for-tasks.ts';
import { type PoolEvents, type RunningShard, type ShardSettings, ShardStart } from './shard-start.ts';

/** A start that has not ended, or the shard that came of it. */
interface Running {
  /** Resolves when its thread has ended. */
  readonly ended: Promise<void>;
  /** Takes its task from the thread, and ends that. */
  terminate(): Promise<void>;
}

/** For a thread to begin, beside what one module may take: a machine under load starts threads slowly. */
const beginMs = 60_000;

export class ShardPool {
  private readonly settings: ShardSettings;
  private readonly events: PoolEvents;
  private readonly beginMs: number;
  private readonly running = new Set<Running>();

  /** `withinMs`: a thread that has not begun by then is given up. */
  constructor(settings: ShardSettings, events: PoolEvents, withinMs: number = beginMs) {
    this.settings = settings;
    this.events = events;
    this.beginMs = withinMs;
  }

  /**
   * Start one shard; `attach` gives its event ring to the log thread before the shard writes into it. Rejects once the
   * thread has ended.
   */
  start(index: number, attach: (eventRing: SharedArrayBuffer) => void): Promise<RunningShard> {
    const thread = new TaskThread(ownFile('./thread', import.meta.url), undefined, 0);
    const stop = new AbortController();
    const terminate = (): Promise<void> => thread.terminate(stop);
    const start = this.make(index, terminate);
    attach(start.eventRing);
    start.begin(this.beginMs);
    const follow = async (): Promise<void> => {
      const cause = await thread.run(start.data, [...start.ports], stop).then(
        () => '',
        (error: Error) => error?.message ?? String(error),
      );
      await start.hearLast();
      await thread.close();
      this.running.delete(running);
      start.close(cause, thread.isMade);
    };
    const running: Running = { ended: follow(), terminate };
    this.running.add(running);
    return start.started;
  }

  private make(index: number, endThread: () => Promise<void>): ShardStart {
    try {
      return new ShardStart(index, this.settings, this.events, endThread);
    } catch (error) {
      this.events.short(index); // no memory for its rings
      throw error;
    }
  }

  /** All shards have returned, and their threads have ended. */
  async ended(): Promise<void> {
    await Promise.all([...this.running].map(({ ended }) => ended));
  }

  /**
   * End the thread of each shard that has not returned, although told to: the code of one command, or of a module that it
   * imports as it starts, holds it, so that no native code of ours runs there.
   */
  async terminateHeld(): Promise<void> {
    await Promise.all([...this.running].map((one) => one.terminate()));
  }
}
