// The producing side of a ring: one thread writes groups in place, right where the log thread will read them.
import { TrunklineError } from '../errors.ts';
import { FrameWriter } from '../frame.ts';
import { Sleeper } from './bell.ts';
import { Group } from './group.ts';
import { type GroupKind, RingMemory, Word } from './ring.ts';

/** What to do when there is no room: true to look again (after having waited), false to refuse with `RingFull`. */
export type WhenFull = () => boolean;

export class RingProducer extends Group {
  readonly frames: FrameWriter;
  readonly limit: number;
  private readonly ring: RingMemory;
  private readonly whenFull: WhenFull;
  /** Counter of published bytes, as readers see it: wraps, signed. */
  head: number;
  private knownTail: number;
  /** Bytes published since the ring was made: the shared counter without its wrap-around. */
  published = 0;

  constructor(memory: SharedArrayBuffer, whenFull: WhenFull) {
    super();
    this.ring = new RingMemory(memory);
    this.frames = new FrameWriter(this.ring.bytes);
    this.limit = this.ring.groupLimit;
    this.whenFull = whenFull;
    this.head = Atomics.load(this.ring.words, Word.head);
    this.knownTail = Atomics.load(this.ring.words, Word.tail);
    this.reset(this.head & this.ring.mask);
  }

  get ringBytes(): number {
    return this.ring.capacity;
  }

  /** Whether a group of `bytes` may ever be published. */
  takes(bytes: number): boolean {
    return bytes <= this.limit;
  }

  protected reserve(bytes: number): void {
    if (bytes > this.limit) this.tooLarge(bytes);
    while (!this.hasRoom(bytes)) {
      if (!this.whenFull()) throw new TrunklineError('RingFull', { ringBytes: this.ring.capacity });
    }
  }

  /** Whether a group of `bytes` fits now. Looks at the readers' counter only when its last known value is too old. */
  hasRoom(bytes: number): boolean {
    // A group may run into the spare half behind the ring; what it covers there is counted like any other bytes.
    if (((this.head + bytes - this.knownTail) | 0) <= this.ring.capacity) return true;
    this.knownTail = Atomics.load(this.ring.words, Word.tail);
    return ((this.head + bytes - this.knownTail) | 0) <= this.ring.capacity;
  }

  /** Publish the group, whole, by one store. The caller rings whoever reads. */
  publish(kind: GroupKind, flags: number, slot: number, version: number, reply: string): void {
    const size = this.close(kind, flags, slot, version, reply);
    this.head = (this.head + size) | 0;
    this.published += size;
    Atomics.store(this.ring.words, Word.head, this.head);
    this.reset(this.head & this.ring.mask);
  }

  /** Forget the group: nothing of it was visible. */
  abandon(): void {
    this.reset(this.head & this.ring.mask);
  }

  /** Block the thread until the readers have moved on from where `hasRoom` last saw them, for `boundMs` at most. */
  blockForRoom(boundMs: number): void {
    const sleeper = new Sleeper(this.ring.words, Word.room);
    sleeper.block(() => Atomics.load(this.ring.words, Word.tail) !== this.knownTail, boundMs);
  }

  /** Bytes of frames that are in the log, in the terms of {@link published}. */
  writtenBytes(): number {
    return this.published - ((this.head - Atomics.load(this.ring.words, Word.written)) | 0);
  }
}
