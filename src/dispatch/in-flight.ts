// What is in flight: the lines to the shards, and who waits for a reply, by slot. A reply ends a command (`turns.ts`); this file
// has the other ends: it is given up, its shard has died, the runtime closes, the log has failed. Host thread.
//
// Invariant: a command that is not in a slot any more has its answer, or gets it in the same turn.
import { isError, TrunklineError } from '../base/errors.ts';
import type { RingConsumer } from '../shared/ring/consumer.ts';
import type { FrameReader } from '../wire/frame.ts';
import type { Pending } from './pending.ts';
import type { Progress } from './progress.ts';
import type { Refusals } from './refusals.ts';
import type { ShardChannel } from './shard-channel.ts';
import { Slots } from './slots.ts';

/** A ring without a shard behind it. */
export interface OtherRing {
  groups: RingConsumer;
  frame: FrameReader;
  onGroup(ring: RingConsumer): void;
  /** Whether something waits for the end of a turn. */
  hasWaiting(): boolean;
  endTurn(): void;
  fail(error: TrunklineError): void;
  inFlight(): number;
}

export class InFlight {
  readonly channels: ShardChannel[] = [];
  /** Further rings whose last reader this thread is: its own, and those of shards that have died. */
  readonly others: Set<OtherRing> = new Set();
  readonly slots: Slots<Pending>;
  private readonly progress: Progress;
  private readonly refusals: Refusals;
  private readonly drained: (() => void)[] = [];
  private closedBy: TrunklineError | undefined;

  constructor(limit: number, progress: Progress, refusals: Refusals) {
    this.slots = new Slots(limit, ({ isInternal }) => isInternal);
    this.progress = progress;
    this.refusals = refusals;
  }

  /** Why nothing is admitted any more, if so. */
  get closed(): TrunklineError | undefined {
    return this.closedBy;
  }

  /** Admit nothing more. */
  close(error: TrunklineError): void {
    this.closedBy ??= error;
  }

  /** Commands, and what waits in other rings. */
  get count(): number {
    let { count } = this.slots;
    for (const other of this.others) count += other.inFlight();
    return count;
  }

  /** What was in flight is so no longer, and will not be executed. */
  drop(slot: number, pending: Pending, error: unknown): void {
    if (pending.ack === 'raised') pending.channel.ackOnRaiseEnds();
    this.slots.remove(slot);
    pending.fail(error);
  }

  /** Tell who waits for that, if nothing is in flight. */
  settleDrained(): void {
    if (this.drained.length > 0 && this.count === 0) for (const resolve of this.drained.splice(0)) resolve();
  }

  /** Resolves when nothing is in flight. */
  whenDrained(): Promise<void> {
    if (this.count === 0) return Promise.resolve();
    return new Promise((resolve) => this.drained.push(resolve));
  }

  /** A shard has died and its ring has been read to the end: callers that still wait for it learn what is known. */
  failLine(channel: ShardChannel, reason: string): void {
    channel.giveUp();
    for (const [slot, pending] of this.slots.entries()) {
      if (pending.channel !== channel || pending.endOfGroup === undefined) continue;
      this.slots.remove(slot);
      const taken = channel.hasTaken(pending.endOfGroup);
      pending.fail(new TrunklineError(taken ? 'OutcomeUnknown' : 'NotExecuted', { reason }));
    }
  }

  /** Close waits no longer, the shards have ended and their rings have been read: the callers that are left learn what is known. */
  abandon(reason: string): void {
    for (const channel of this.channels) this.failLine(channel, reason);
    for (const [slot, pending] of this.slots.entries()) {
      this.slots.remove(slot);
      pending.fail(new TrunklineError('NotExecuted', { reason }));
    }
  }

  /** What never reached the dead shard's ring goes to its successor. */
  replaceLine(dead: ShardChannel, next: ShardChannel): void {
    for (const [, pending] of this.slots.entries()) {
      if (pending.channel !== dead) continue;
      pending.channel = next;
      if (pending.ack === 'raised') next.ackOnRaiseBegins();
    }
    this.refusals.fences.resend(dead, next);
    next.takeOver(dead);
    this.channels[next.shard] = next;
    next.flushOverflow();
  }

  /** Nothing will be acknowledged any more. */
  fail(error: TrunklineError): void {
    if (this.closedBy === undefined || isError(this.closedBy, 'RuntimeClosed')) this.closedBy = error;
    for (const [slot, pending] of this.slots.entries()) {
      this.slots.remove(slot);
      pending.fail(error);
    }
    for (const channel of this.channels) channel.dropOverflow();
    for (const other of this.others) other.fail(error);
    this.progress.fail(error);
    for (const resolve of this.drained.splice(0)) resolve();
  }
}
