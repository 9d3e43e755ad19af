// The reading side of a ring: walks groups one by one. The log thread and the last reader each have a cursor of their own.
import { Bell } from './bell.ts';
import { GROUP_HEADER_BYTES, type GroupKind, RingMemory, Word } from './ring.ts';

export class RingConsumer {
  readonly bytes: Buffer;
  private readonly ring: RingMemory;
  private readonly room: Bell;
  /** Where the next group starts. */
  cursor: number;
  /** Offset in `bytes` of the group last taken by {@link take}. */
  at = 0;

  constructor(memory: SharedArrayBuffer, from: typeof Word.tail | typeof Word.written = Word.tail) {
    this.ring = new RingMemory(memory);
    this.bytes = this.ring.bytes;
    this.room = new Bell(this.ring.words, Word.room);
    this.cursor = Atomics.load(this.ring.words, from);
  }

  /** What may be read: up to what is published, or only up to what is in the log. */
  published(): number {
    return Atomics.load(this.ring.words, Word.head);
  }
  written(): number {
    return Atomics.load(this.ring.words, Word.written);
  }

  /** Step to the next group before `limit`; false at the end. Its header is then at {@link at}. */
  take(limit: number): boolean {
    if (((limit - this.cursor) | 0) <= 0) return false;
    this.at = this.cursor & this.ring.mask;
    this.cursor = (this.cursor + this.ring.view.getUint32(this.at, true)) | 0;
    return true;
  }

  /** Step back before the group last taken. */
  untake(): void {
    this.cursor = (this.cursor - this.groupBytes) | 0;
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
    Atomics.store(this.ring.words, Word.written, this.cursor);
  }

  /** What the last reader has given back so far. */
  released(): number {
    return Atomics.load(this.ring.words, Word.tail);
  }

  /** The last reader: everything before the cursor may be overwritten. */
  release(): void {
    Atomics.store(this.ring.words, Word.tail, this.cursor);
    this.room.ring();
  }
}
