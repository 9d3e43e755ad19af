// A line: the pair of rings between the host thread and one shard, as the caller has them. Commands go in; groups come
// out, and the caller is their last reader: it takes replies, live events, questions and messages from them.
//
// What finds no room in the command ring waits here, in order (the overflow). Invariants: what waits here is written as
// soon as the shard has made room, and the shard wakes the caller for that; what is withdrawn is never written; what is
// written into a ring that is sealed afterwards has either been taken before the seal, or is never taken.
import { isError } from '../base/errors.ts';
import type { Notifier } from '../shared/notifier.ts';
import { RingConsumer } from '../shared/ring/consumer.ts';
import { RingProducer } from '../shared/ring/producer.ts';
import { sealHead, sealTail } from '../shared/ring/ring.ts';
import { FrameReader } from '../wire/frame.ts';

/** Writes one group into a command ring; may throw `RingFull`, having published nothing. */
export type CommandWrite = (commands: RingProducer) => void;

/** What waits for room. */
export interface Waiting {
  readonly write: CommandWrite;
  /** It can never be written (`CommandTooLarge`). */
  readonly fail: (error: unknown) => void;
  /** A command goes to the shard's successor as well; anything else was for this one only. */
  readonly isCommand: boolean;
}

export class ShardChannel {
  readonly shard: number;
  readonly commands: RingProducer;
  /** At what the log has; replies wait there. */
  readonly groups: RingConsumer;
  /** Ahead of `groups`: finds replies that need not wait for the log. Its cursor counts as that of `groups` does. */
  readonly uncommitted: RingConsumer;
  readonly frame: FrameReader;
  private readonly commandRing: SharedArrayBuffer;
  private readonly eventRing: SharedArrayBuffer;
  private readonly notifier: Notifier;
  private readonly overflow: Set<Waiting> = new Set();
  private readonly firstTail: number;
  private acksOnRaise = 0;
  private isGivenUp = false;

  constructor(shard: number, commandRing: SharedArrayBuffer, eventRing: SharedArrayBuffer, notifier: Notifier) {
    this.shard = shard;
    this.commandRing = commandRing;
    this.eventRing = eventRing;
    this.notifier = notifier;
    this.commands = new RingProducer(commandRing, () => false);
    this.firstTail = this.commands.tail();
    this.groups = new RingConsumer(eventRing);
    this.uncommitted = new RingConsumer(eventRing);
    this.frame = new FrameReader(this.groups.bytes);
  }

  /** Commands in flight that wait for `raised` only. */
  get ackOnRaise(): number {
    return this.acksOnRaise;
  }

  ackOnRaiseBegins(): void {
    this.acksOnRaise++;
  }

  ackOnRaiseEnds(): void {
    this.acksOnRaise--;
  }

  /** Its shard has been given up: nothing is written any more. */
  get isDead(): boolean {
    return this.isGivenUp;
  }

  giveUp(): void {
    this.isGivenUp = true;
  }

  get hasOverflow(): boolean {
    return this.overflow.size > 0;
  }

  /** Write now, or false if there is no room, or others wait already, or the shard is being replaced. */
  tryWrite(write: CommandWrite): boolean {
    return !this.hasOverflow && this.put(write);
  }

  /** A command: write it as soon as there is room. Bounded by `maxInFlight`, since each is in flight. */
  writeLater(write: CommandWrite, fail: (error: unknown) => void): Waiting {
    const waiting = { write, fail, isCommand: true };
    this.add(waiting);
    return waiting;
  }

  /** What concerns this shard alone, as soon as there is room; never, once it has been given up. @throws CommandTooLarge */
  tell(write: CommandWrite, fail: (error: unknown) => void): void {
    if (!this.isGivenUp && !this.tryWrite(write)) this.add({ write, fail, isCommand: false });
  }

  /** It is written no more, if it has not been. */
  withdraw(waiting: Waiting): void {
    this.overflow.delete(waiting);
  }

  /** Write what has waited for room, in order; what is left is written when the shard has made more. */
  flushOverflow(): void {
    // If the shard has made room between the last look and the asking to be woken, nothing wakes this thread: look again.
    do this.writeOverflow();
    while (this.hasOverflow && !this.isGivenUp && !this.commands.armForRoom());
  }

  /** Take over the commands that never reached the dead shard's ring. */
  takeOver(dead: ShardChannel): void {
    for (const waiting of dead.overflow) if (waiting.isCommand) this.overflow.add(waiting);
    dead.overflow.clear();
  }

  /** Nothing that waits is written any more. */
  dropOverflow(): void {
    this.overflow.clear();
  }

  /** Wake the shard: something other than a command has happened. */
  ring(): void {
    this.notifier.notify();
  }

  /** The shard has been given up: it can neither take a command nor publish anything from here on, should it still live. */
  seal(): void {
    this.giveUp();
    sealTail(this.commandRing);
    sealHead(this.eventRing);
    this.ring();
  }

  /** Whether the shard had taken the command whose group ended at this count of the command ring. Final once sealed. */
  hasTaken(endOfGroup: number): boolean {
    return this.commands.tail() >= endOfGroup;
  }

  /** Whether the shard had taken anything at all. Final once sealed. */
  get hasTakenAny(): boolean {
    return this.commands.tail() !== this.firstTail;
  }

  private add(waiting: Waiting): void {
    this.overflow.add(waiting);
    if (this.overflow.size === 1) this.flushOverflow();
  }

  private writeOverflow(): void {
    for (const waiting of this.overflow) {
      try {
        if (!this.put(waiting.write)) return;
        this.overflow.delete(waiting);
      } catch (error) {
        this.overflow.delete(waiting);
        waiting.fail(error);
      }
    }
  }

  private put(write: CommandWrite): boolean {
    if (this.isGivenUp) return false;
    try {
      write(this.commands);
    } catch (error) {
      this.commands.abandon();
      if (isError(error, 'RingFull')) return false;
      throw error;
    }
    this.notifier.notify();
    return true;
  }
}
