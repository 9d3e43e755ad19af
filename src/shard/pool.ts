// The shards' threads: one Piscina pool, one long-lived task in each of its workers. A shard that dies is started again on
// new rings, after its old ones have been read to the end. Host thread.
//
// Invariants: a thread serves one start. A start that is rejected has ended its thread by then, and sealed its rings: the
// pool has no more threads than shards, so the next start would wait indefinitely behind one that lives, and a thread that has
// failed to import a module repeats that error for as long as it lives. A start ends: each of its steps has a bound.

import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { clearTimeout, setTimeout } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { guarded, unawaited } from '../base/guarded.ts';
import { ownFile } from '../base/own-file.ts';
import { threadArguments } from '../base/thread-arguments.ts';
import { fromWire } from '../base/wire-error.ts';
import { ControlBlock } from '../shared/control-block.ts';
import type { Notifier } from '../shared/notifier.ts';
import { createRing, sealHead, sealTail } from '../shared/ring/ring.ts';
import type { StoreOptions } from '../store/adapter.ts';
import type { ShardData, ShardReport } from './contract.ts';

/** What all shards of a runtime have in common. */
export type ShardSettings = Omit<ShardData, 'index' | 'commandRing' | 'eventRing' | 'wakePort' | 'outbox' | 'store'> & {
  store: StoreOptions | undefined;
  ringBytes: number;
  /** How long one module of the user's may take at the start. */
  moduleMs: number;
};

/** A shard that has started. */
export interface RunningShard {
  readonly index: number;
  readonly commandRing: SharedArrayBuffer;
  readonly eventRing: SharedArrayBuffer;
  readonly notifier: Notifier;
}

/** A start that has not ended, or the shard that came of it. */
interface Running {
  /** Resolves when its thread has returned, or has ended. */
  readonly ended: Promise<void>;
  /** Takes its task from the pool, and ends the thread that has it. */
  readonly thread: AbortController;
}

/** For a thread to begin, beside what one module may take: a machine under load starts threads slowly. */
const beginMs = 60_000;

export interface PoolEvents {
  /** A null message: read the rings. */
  wake(): void;
  warning(message: string, details: Record<string, unknown>): void;
  /** The thread of a shard that had started is gone. */
  died(shard: RunningShard, cause: string): void;
}

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
   * thread has ended. In one function: its steps share what has become of the start so far.
   */
  start(index: number, attach: (eventRing: SharedArrayBuffer) => void): Promise<RunningShard> {
    const { settings } = this;
    const commandRing = createRing(settings.ringBytes);
    const eventRing = createRing(settings.ringBytes);
    attach(eventRing);
    const wake = new MessageChannel();
    const outbox = new MessageChannel();
    const { moduleMs, ...common } = settings;
    const data: ShardData = {
      ...common,
      store: settings.store?.describe(),
      index,
      commandRing,
      eventRing,
      wakePort: wake.port2,
      outbox: outbox.port2,
    };
    const control = new ControlBlock(settings.controlBlock);
    const shardNotifier = control.shardNotifier(index, wake.port1);
    shardNotifier.reset();
    const thread = new AbortController();
    return new Promise((resolve, reject) => {
      let shard: RunningShard | undefined;
      let dying: string | undefined;
      let refusal: unknown;
      let ending: Promise<void> | undefined;
      let late: NodeJS.Timeout | undefined;
      const endThread = (): void => {
        ending ??= this.endThread(thread);
        unawaited(ending);
      };
      /** The start has failed: from here on the thread can neither take a command nor publish anything. */
      const refuse = (error: unknown): void => {
        if (shard !== undefined || refusal !== undefined) return;
        refusal = error;
        clearTimeout(late);
        sealTail(commandRing);
        sealHead(eventRing);
      };
      const expect = (withinMs: number, error: () => TrunklineError): void => {
        const giveUp = guarded(() => {
          refuse(error());
          endThread();
        });
        late = setTimeout(giveUp, withinMs);
      };
      const name = `shard ${index}`;
      expect(moduleMs + this.beginMs, () => {
        const cause = `it has not begun within ${moduleMs + this.beginMs} ms`;
        return new TrunklineError('ThreadFailed', { thread: name, cause });
      });
      const take = (message: ShardReport | null): void => {
        if (message === null) return this.events.wake();
        if (message.type === 'warning') return this.events.warning(message.message, message.details);
        if (message.type === 'dying') {
          dying = message.cause;
          return;
        }
        if (message.type === 'over') return endThread();
        if (refusal !== undefined) return;
        if (message.type === 'failed') return refuse(fromWire(message.error));
        clearTimeout(late);
        if (message.type === 'importing') {
          const details = { what: name, module: message.module, timeoutMs: moduleMs };
          return expect(moduleMs, () => new TrunklineError('StartTimedOut', details));
        }
        shard = { index, commandRing, eventRing, notifier: shardNotifier };
        resolve(shard);
      };
      outbox.port1.on('message', guarded(take));
      const end = async (cause: string): Promise<void> => {
        // The task's end may overtake what the shard has reported, and the end of its thread.
        for (let last = receiveMessageOnPort(outbox.port1); last; last = receiveMessageOnPort(outbox.port1))
          take(last.message);
        await ending;
        wake.port1.close();
        outbox.port1.close();
        this.running.delete(running);
        if (cause !== '' && shard) return this.events.died(shard, dying ?? cause);
        refuse(new TrunklineError('ThreadFailed', { thread: name, cause: cause || 'it returned' }));
        reject(refusal);
      };
      const task = this.pool.run(data, { transferList: [wake.port2, outbox.port2], signal: thread.signal });
      const ended = task.then(
        () => end(''),
        (error: Error) => end(error?.message ?? String(error)),
      );
      const running: Running = { ended, thread };
      this.running.add(running);
    });
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
