// The producing side of a ring: one thread writes groups in place, right where the log thread will read them.
import { TrunklineError } from '../../base/errors.ts';
import { FrameWriter } from '../../wire/frame.ts';
import { Parker } from '../notifier.ts';
import { countNear, firstCount, isSealed, wordOf } from './count.ts';
import { Group } from './group.ts';
import { type GroupKind, RingMemory, RingSealed, Word } from './ring.ts';

/** What to do when there is no room: true to look again (after having waited), false to refuse with `RingFull`. */
export type WhenFull = () => boolean;

export class RingProducer extends Group {
  readonly frames: FrameWriter;
  readonly limit: number;
  private readonly ring: RingMemory;
  private readonly whenFull: WhenFull;
  private readonly parker: Parker;
  /** Count of published bytes: where the next group starts. */
  head: number;
  private readonly firstHead: number;
  private knownTail: number;

  constructor(memory: SharedArrayBuffer, whenFull: WhenFull) {
    super();
    this.ring = new RingMemory(memory);
    this.frames = new FrameWriter(this.ring.bytes);
    this.limit = this.ring.groupLimit;
    this.whenFull = whenFull;
    this.parker = new Parker(this.ring.words, Word.room);
    this.head = firstCount(Atomics.load(this.ring.words, Word.head));
    this.firstHead = this.head;
    this.knownTail = this.tail();
    this.reset(this.head & this.ring.mask);
  }

  get ringBytes(): number {
    return this.ring.capacity;
  }

  /** Whether a group of `bytes` may ever be published. */
  takes(bytes: number): boolean {
    return bytes <= this.limit;
  }

  /** Bytes published by this side. */
  get published(): number {
    return this.head - this.firstHead;
  }

  /** Up to where the last reader has given bytes back: a count to compare with {@link head}. */
  tail(): number {
    return countNear(this.head, Atomics.load(this.ring.words, Word.tail));
  }

  protected reserve(bytes: number): void {
    if (bytes > this.limit) this.tooLarge(bytes);
    if (!this.makeRoom(bytes)) throw new TrunklineError('RingFull', { ringBytes: this.ring.capacity });
  }

  /** @throws RingSealed: the thread has been replaced; the readers may never make room again, so it must not wait for some. */
  protected makeRoom(bytes: number): boolean {
    while (!this.hasRoom(bytes)) {
      if (isSealed(Atomics.load(this.ring.words, Word.head))) throw new RingSealed();
      if (!this.whenFull()) return false;
    }
    return true;
  }

  /** Whether a group of `bytes` fits now. Looks at the readers' counter only when its last known value is too old. */
  hasRoom(bytes: number): boolean {
    // A group may run into the spare half behind the ring; what it covers there is counted like any other bytes.
    if (this.head + bytes - this.knownTail <= this.ring.capacity) return true;
    this.knownTail = this.tail();
    return this.head + bytes - this.knownTail <= this.ring.capacity;
  }

  /**
   * Publish the group, whole, in one step. The caller rings the reader.
   * @throws RingSealed: this thread has been replaced; nothing of the group is visible.
   */
  publish(kind: GroupKind, flags: number, slot: number, version: number, reply: string): void {
    const size = this.close(kind, flags, slot, version, reply);
    const before = wordOf(this.head);
    const after = wordOf(this.head + size);
    if (Atomics.compareExchange(this.ring.words, Word.head, before, after) !== before) throw new RingSealed();
    this.head += size;
    this.reset(this.head & this.ring.mask);
  }

  /** Forget the group: nothing of it was visible. */
  abandon(): void {
    this.reset(this.head & this.ring.mask);
  }

  /** Block the thread until the readers have moved on from where `hasRoom` last saw them, for `boundMs` at most. */
  blockForRoom(boundMs: number): void {
    this.parker.block(() => this.readersHaveMoved(), boundMs);
  }

  /** Ask for a message once the readers have moved on from where `hasRoom` last saw them; false if they have already. */
  armForRoom(): boolean {
    return this.parker.arm(() => this.readersHaveMoved());
  }

  private readersHaveMoved(): boolean {
    return this.tail() !== this.knownTail;
  }

  /** Bytes of frames that are in the log, in the terms of {@link published}. */
  writtenBytes(): number {
    return countNear(this.head, Atomics.load(this.ring.words, Word.written)) - this.firstHead;
  }
}
