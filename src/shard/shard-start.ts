// One start of one shard: its rings and ports, what its thread reports, and what becomes of it. Owned by the host thread.
//
// Invariants: a start has one end: the shard, or what refuses it. Once it is refused its rings are sealed, so that its thread can neither
// take a command nor publish anything, and that is reported when the thread has ended. Each step that runs the user's code has a
// bound.

import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { clearTimeout, setTimeout } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { guarded, unawaited } from '../base/guarded.ts';
import { watchModule } from '../base/slow-module.ts';
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

export interface PoolEvents {
  /** A null message: read the rings. */
  wake(): void;
  warning(message: string, details: Record<string, unknown>): void;
  /** The start of this shard is about to fail for want of what a thread or a file needs, which says nothing of its modules. */
  short(shard: number): void;
  /** The thread of a shard that had started is gone. */
  died(shard: RunningShard, cause: string): void;
}

export class ShardStart {
  readonly commandRing: SharedArrayBuffer;
  readonly eventRing: SharedArrayBuffer;
  readonly data: ShardData;
  /** Handed to the thread with the data. */
  readonly ports: readonly MessagePort[];
  private readonly index: number;
  private readonly name: string;
  private readonly moduleMs: number;
  private readonly events: PoolEvents;
  private readonly endThread: () => Promise<void>;
  private readonly notifier: Notifier;
  private readonly wake = new MessageChannel();
  private readonly outbox = new MessageChannel();
  private readonly outcome = Promise.withResolvers<RunningShard>();
  private shard: RunningShard | undefined;
  private refusal: unknown;
  /** What the thread has said of its end. */
  private dying: string | undefined;
  private ending: Promise<void> | undefined;
  private late: NodeJS.Timeout | undefined;
  private unwatch = (): void => {};

  constructor(index: number, settings: ShardSettings, events: PoolEvents, endThread: () => Promise<void>) {
    const { moduleMs, ringBytes, store, ...common } = settings;
    this.index = index;
    this.name = `shard ${index}`;
    this.moduleMs = moduleMs;
    this.events = events;
    this.endThread = endThread;
    this.commandRing = createRing(ringBytes);
    this.eventRing = createRing(ringBytes);
    this.ports = [this.wake.port2, this.outbox.port2];
    this.data = {
      ...common,
      store: store?.describe(),
      index,
      commandRing: this.commandRing,
      eventRing: this.eventRing,
      wakePort: this.wake.port2,
      outbox: this.outbox.port2,
    };
    this.notifier = new ControlBlock(settings.controlBlock).shardNotifier(index, this.wake.port1);
    this.notifier.reset();
  }

  /** Rejects with what refuses it, once the thread has ended. */
  get started(): Promise<RunningShard> {
    return this.outcome.promise;
  }

  /** Its thread is heard from now on. It is to begin within what one module may take and `beginMs`. */
  begin(beginMs: number): void {
    this.outbox.port1.on(
      'message',
      guarded((message: ShardReport | null) => this.take(message)),
    );
    const withinMs = this.moduleMs + beginMs;
    const cause = `it has not begun within ${withinMs} ms`;
    this.giveUpAfter(withinMs, () => new TrunklineError('ThreadFailed', { thread: this.name, cause }));
  }

  private giveUpAfter(withinMs: number, error: () => TrunklineError): void {
    const giveUp = guarded(() => {
      this.refuse(error());
      this.end();
    });
    this.late = setTimeout(giveUp, withinMs);
  }

  /** What it waited for has come. */
  private endWait(): void {
    clearTimeout(this.late);
    this.unwatch();
  }

  private end(): void {
    this.ending ??= this.endThread();
    unawaited(this.ending);
  }

  /** From here on the thread can neither take a command nor publish anything. */
  private refuse(error: unknown): void {
    if (this.shard !== undefined || this.refusal !== undefined) return;
    this.refusal = error;
    this.endWait();
    sealTail(this.commandRing);
    sealHead(this.eventRing);
  }

  private take(message: ShardReport | null): void {
    if (message === null) return this.events.wake();
    if (message.type === 'warning') return this.events.warning(message.message, message.details);
    if (message.type === 'dying') {
      this.dying = message.cause;
      return;
    }
    if (message.type === 'over') return this.end();
    if (this.refusal !== undefined) return;
    if (message.type === 'failed') {
      if (message.isShort) this.events.short(this.index);
      return this.refuse(fromWire(message.error));
    }
    this.endWait();
    if (message.type === 'importing') {
      const details = { what: this.name, module: message.module, timeoutMs: this.moduleMs };
      this.unwatch = watchModule(details, this.events.warning);
      return this.giveUpAfter(this.moduleMs, () => new TrunklineError('StartTimedOut', details));
    }
    const { index, commandRing, eventRing, notifier } = this;
    this.shard = { index, commandRing, eventRing, notifier };
    this.outcome.resolve(this.shard);
  }

  /** The thread's task has ended; its end may overtake what the shard has reported, and the end of the thread. */
  async hearLast(): Promise<void> {
    const { port1 } = this.outbox;
    for (let last = receiveMessageOnPort(port1); last; last = receiveMessageOnPort(port1)) this.take(last.message);
    await this.ending;
    this.wake.port1.close();
    port1.close();
  }

  /** `cause`: why the thread has ended; empty: it has returned. `isMade`: it had begun. */
  close(cause: string, isMade: boolean): void {
    if (cause !== '' && this.shard) return this.events.died(this.shard, this.dying ?? cause);
    if (!isMade) this.events.short(this.index);
    this.refuse(new TrunklineError('ThreadFailed', { thread: this.name, cause: cause || 'it returned' }));
    this.outcome.reject(this.refusal);
  }
}
