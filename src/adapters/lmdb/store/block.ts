// Blocks: the events themselves, packed in log order and never changed. Each event knows the place of the one before it in
// its aggregate, so that a load walks back from the head, and an append touches nothing but the end of the table.
import { crc32 } from 'node:zlib';
import { type Bytes, toBytes } from '../../../base/bytes.ts';
import { alignUp, FrameReader } from '../../../wire/frame.ts';
import { BLOCK_BYTES, BLOCK_ENTRY_BYTES, BLOCK_HEADER_BYTES } from './layout.ts';

/** Builds one block after the other; hands each to `put` when it is full or closed. Owned by the writer. */
export class BlockBuilder {
  private buffer: Buffer = Buffer.alloc(BLOCK_BYTES);
  private readonly table = Buffer.alloc(Math.ceil(BLOCK_BYTES / BLOCK_ENTRY_BYTES) * BLOCK_ENTRY_BYTES);
  private readonly put: (key: number, block: Buffer) => void;
  private end = BLOCK_HEADER_BYTES;
  /** Of the block under construction: its key, and how many events it has. */
  key = 0;
  count = 0;

  constructor(put: (key: number, block: Buffer) => void) {
    this.put = put;
  }

  /** Add a frame; afterwards its place is `key` and `count - 1`. */
  add(
    source: Buffer,
    start: number,
    length: number,
    position: number,
    previousBlock: number,
    previousIndex: number,
  ): void {
    const bytes = alignUp(length);
    if (this.count > 0 && this.end + bytes + (this.count + 1) * BLOCK_ENTRY_BYTES > BLOCK_BYTES) this.seal();
    if (this.count === 0) this.begin(position, bytes);
    source.copy(this.buffer, this.end, start, start + bytes);
    const { table } = this;
    const entry = this.count * BLOCK_ENTRY_BYTES;
    table.writeUInt32LE(position - this.key, entry);
    table.writeUInt16LE(this.end >>> 3, entry + 4);
    table.writeUInt16LE(previousIndex, entry + 6);
    table.writeDoubleLE(previousBlock, entry + 8);
    this.end += bytes;
    this.count++;
  }

  /** Close the block under construction, if there is one. */
  seal(): void {
    if (this.count === 0) return;
    const { buffer, end, count } = this;
    const blockEnd = end + count * BLOCK_ENTRY_BYTES;
    this.table.copy(buffer, end, 0, count * BLOCK_ENTRY_BYTES);
    buffer.writeUInt32LE(count, 0);
    buffer.writeUInt32LE(end, 4);
    buffer.writeUInt32LE(this.key >>> 0, 12);
    buffer.writeUInt32LE(crc32(buffer.subarray(BLOCK_HEADER_BYTES, blockEnd)), 8);
    this.put(this.key, buffer.subarray(0, blockEnd));
    this.count = 0;
  }

  /** Forget the block under construction. */
  abandon(): void {
    this.count = 0;
  }

  private begin(position: number, bytes: number): void {
    const needed = BLOCK_HEADER_BYTES + bytes + BLOCK_ENTRY_BYTES;
    if (needed > this.buffer.length) this.buffer = Buffer.alloc(needed);
    this.key = position;
    this.end = BLOCK_HEADER_BYTES;
  }
}

const noBytes = toBytes(Buffer.alloc(0));

/** Reads one block in place. Valid as long as the bytes are. */
export class Block {
  bytes: Bytes = noBytes;
  key = 0;
  count = 0;
  private table = 0;

  /** Look at another block; false if it cannot be the one with this key. */
  over(key: number, bytes: Buffer): boolean {
    if (bytes.length < BLOCK_HEADER_BYTES) return false;
    this.bytes = toBytes(bytes);
    this.key = key;
    this.count = bytes.readUInt32LE(0);
    this.table = bytes.readUInt32LE(4);
    // When unpacking fails, the library hands out what its buffer held before: another block.
    if (bytes.readUInt32LE(12) !== key >>> 0) return false;
    return this.count > 0 && this.table + this.count * BLOCK_ENTRY_BYTES === bytes.length;
  }

  /** Whether every byte is as it was written. */
  isIntact(): boolean {
    const end = this.table + this.count * BLOCK_ENTRY_BYTES;
    return crc32(this.bytes.subarray(BLOCK_HEADER_BYTES, end)) === this.bytes.readUInt32LE(8);
  }

  positionAt(index: number): number {
    return this.key + this.bytes.readUInt32LE(this.table + index * BLOCK_ENTRY_BYTES);
  }

  frameAt(index: number): number {
    return this.bytes.readUInt16LE(this.table + index * BLOCK_ENTRY_BYTES + 4) << 3;
  }

  previousIndexAt(index: number): number {
    return this.bytes.readUInt16LE(this.table + index * BLOCK_ENTRY_BYTES + 6);
  }

  previousBlockAt(index: number): number {
    return this.bytes.readDoubleLE(this.table + index * BLOCK_ENTRY_BYTES + 8);
  }
}

/** A block, and what reads the frames in it. */
export class BlockView {
  readonly block: Block = new Block();
  readonly frame: FrameReader = new FrameReader(noBytes);

  /** False: it cannot be the one with this key. */
  over(key: number, bytes: Buffer): boolean {
    if (!this.block.over(key, bytes)) return false;
    this.frame.over(bytes);
    return true;
  }
}
