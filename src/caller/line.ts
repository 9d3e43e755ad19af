// A line: the pair of rings between the caller's thread and one shard, as the caller has them. Commands go in; groups come
// out, and the caller is their last reader: it takes replies, live events, questions and messages from them.
import { isError } from '../errors.ts';
import { FrameReader } from '../frame.ts';
import type { Bell } from '../ring/bell.ts';
import { RingConsumer } from '../ring/consumer.ts';
import { RingProducer } from '../ring/producer.ts';
import { Word } from '../ring/ring.ts';

/** Writes one group into a command ring; may throw `RingFull`, having written nothing. */
export type CommandWrite = (commands: RingProducer) => void;

interface Waiting {
  write: CommandWrite;
  /** It can never be written (`CommandTooLarge`). */
  fail: (error: unknown) => void;
}

export class Line {
  readonly shard: number;
  readonly commands: RingProducer;
  /** At what the log has; replies wait there. */
  readonly groups: RingConsumer;
  /** At what is published, ahead of `groups`: finds replies that need not wait for the log. */
  readonly scout: RingConsumer;
  readonly frame: FrameReader;
  /** Commands in flight that wait for `raised` only. */
  urgent = 0;
  dead = false;
  private readonly taken: RingConsumer;
  private readonly bell: Bell;
  private overflow: Waiting[] = [];

  constructor(shard: number, commandRing: SharedArrayBuffer, eventRing: SharedArrayBuffer, bell: Bell) {
    this.shard = shard;
    this.bell = bell;
    this.commands = new RingProducer(commandRing, () => false);
    this.taken = new RingConsumer(commandRing);
    this.groups = new RingConsumer(eventRing, Word.tail);
    this.scout = new RingConsumer(eventRing, Word.tail);
    this.frame = new FrameReader(this.groups.bytes);
  }

  /** Write now, or false if there is no room, or others wait already, or the shard is being replaced. */
  tryWrite(write: CommandWrite): boolean {
    if (this.dead || this.overflow.length > 0) return false;
    try {
      write(this.commands);
    } catch (error) {
      if (isError(error, 'RingFull')) return false;
      throw error;
    }
    this.bell.ring();
    return true;
  }

  /** Write as soon as there is room. Bounded by `maxInFlight`, since each belongs to a command in flight. */
  writeLater(write: CommandWrite, fail: (error: unknown) => void): void {
    this.overflow.push({ write, fail });
  }

  /** The shard has taken some commands: write what has waited for room. */
  flushOverflow(): void {
    const { overflow } = this;
    if (overflow.length === 0) return;
    this.overflow = [];
    let count = 0;
    for (const { write, fail } of overflow) {
      try {
        if (!this.tryWrite(write)) break;
      } catch (error) {
        fail(error);
      }
      count++;
    }
    this.overflow = overflow.slice(count);
  }

  /** Wake the shard: something other than a command has happened. */
  ring(): void {
    this.bell.ring();
  }

  /** What never reached the ring. */
  takeOverflow(): Waiting[] {
    const { overflow } = this;
    this.overflow = [];
    return overflow;
  }

  /** Whether the shard had taken the command whose group ended at this count of the command ring. */
  hasTaken(endOfGroup: number): boolean {
    return ((this.taken.released() - endOfGroup) | 0) >= 0;
  }
}
