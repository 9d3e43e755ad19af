// The reading side of a ring: walks groups one by one. The log thread and the last reader each have a cursor of their own.
import type { MessagePort } from 'node:worker_threads';
import { Notifier } from '../notifier.ts';
import { countNear, firstCount, isSealed, wordOf } from './count.ts';
import { GROUP_HEADER_BYTES, type GroupKind, RingMemory, RingSealed, Word } from './ring.ts';

export class RingConsumer {
  readonly bytes: Buffer;
  private readonly ring: RingMemory;
  private readonly room: Notifier;
  /** Where the next group starts: a count. */
  cursor: number;
  /** Offset in `bytes` of the group last taken by {@link take}. */
  at = 0;
  private released: number;

  /** `producer` leads to a producer that waits for room in its event loop. */
  constructor(
    memory: SharedArrayBuffer,
    from: typeof Word.tail | typeof Word.written = Word.tail,
    producer?: MessagePort,
  ) {
    this.ring = new RingMemory(memory);
    this.bytes = this.ring.bytes;
    this.room = new Notifier(this.ring.words, Word.room, producer);
    this.cursor = firstCount(Atomics.load(this.ring.words, from));
    this.released = this.cursor;
  }

  /** What may be read: up to what is published, or only up to what is in the log. */
  published(): number {
    return countNear(this.cursor, Atomics.load(this.ring.words, Word.head));
  }
  written(): number {
    return countNear(this.cursor, Atomics.load(this.ring.words, Word.written));
  }

  /** Step to the next group before `limit`; false at the end. Its header is then at {@link at}. */
  take(limit: number): boolean {
    if (this.cursor >= limit) return false;
    this.at = this.cursor & this.ring.mask;
    this.cursor += this.ring.view.getUint32(this.at, true);
    return true;
  }

  /** Begin no earlier than at this count of the same ring. */
  skipTo(cursor: number): void {
    if (this.cursor < cursor) this.cursor = cursor;
  }

  /** Step back before the group last taken. */
  untake(): void {
    this.cursor -= this.groupBytes;
  }

  get kind(): GroupKind {
    return this.bytes[this.at + 4] as GroupKind;
  }
  get flags(): number {
    return this.bytes[this.at + 5]!;
  }
  get groupBytes(): number {
    return this.ring.view.getUint32(this.at, true);
  }
  get firstPosition(): number {
    return this.ring.view.getFloat64(this.at + 8, true);
  }
  set firstPosition(position: number) {
    this.ring.view.setFloat64(this.at + 8, position, true);
  }
  get framesStart(): number {
    return this.at + GROUP_HEADER_BYTES;
  }
  get framesBytes(): number {
    return this.ring.view.getUint32(this.at + 16, true);
  }
  get frameCount(): number {
    return this.ring.view.getUint32(this.at + 20, true);
  }
  get slot(): number {
    return this.ring.view.getUint32(this.at + 24, true);
  }
  get version(): number {
    return this.ring.view.getUint32(this.at + 28, true);
  }
  get replyBytes(): number {
    return this.ring.view.getUint32(this.at + 32, true);
  }
  get replyStart(): number {
    return this.framesStart + this.framesBytes;
  }

  /** The log thread: everything before the cursor is in the log. */
  publishWritten(): void {
    Atomics.store(this.ring.words, Word.written, wordOf(this.cursor));
  }

  /**
   * The last reader: everything before the cursor may be overwritten, and is this thread's to act upon. Does not ring
   * the producer, see {@link ringRoom}.
   * @throws RingSealed: this thread has been replaced, and may not act upon it.
   */
  release(): void {
    const { words } = this.ring;
    const before = wordOf(this.released);
    if (Atomics.compareExchange(words, Word.tail, before, wordOf(this.cursor)) !== before) throw new RingSealed();
    this.released = this.cursor;
  }

  /** Wake a producer that waits for room; call it after {@link release}, once for many. */
  ringRoom(): void {
    this.room.notify();
  }

  /** The last reader has been replaced. */
  get isSealed(): boolean {
    return isSealed(Atomics.load(this.ring.words, Word.tail));
  }
}
