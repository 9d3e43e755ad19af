// Reading the data file by offset, without LMDB. Sequential reads are served from a large window; a read elsewhere costs no
// more than what it asks for. Owned by the thread that recovers.
import { closeSync, fstatSync, readSync } from '../base/disk.ts';
import { openPrivate } from '../base/private-file.ts';

const WINDOW_BYTES = 4 << 20;
/** A gap that is read over rather than jumped over. */
const LEAP_BYTES = 64 << 10;

export class PageFile {
  readonly bytes: number;
  private readonly descriptor: number;
  private buffer: Buffer = Buffer.allocUnsafeSlow(WINDOW_BYTES);
  private start = 0;
  private end = 0;

  constructor(file: string) {
    this.descriptor = openPrivate(file, 'read');
    try {
      this.bytes = fstatSync(this.descriptor).size;
    } catch (error) {
      closeSync(this.descriptor);
      throw error;
    }
  }

  /** A view of `length` bytes at `offset`, valid until the next read; shorter where the file ends. */
  read(offset: number, length: number): Buffer {
    if (offset < this.start || offset + length > this.end) this.fill(offset, length);
    return this.buffer.subarray(offset - this.start, Math.min(offset + length, this.end) - this.start);
  }

  private fill(offset: number, length: number): void {
    const isNext = offset >= this.start && offset <= this.end + LEAP_BYTES;
    const wanted = isNext ? Math.max(length, WINDOW_BYTES) : length;
    if (this.buffer.length < wanted) this.buffer = Buffer.allocUnsafeSlow(wanted);
    let filled = 0;
    while (filled < wanted) {
      const count = readSync(this.descriptor, this.buffer, filled, wanted - filled, offset + filled);
      if (count === 0) break;
      filled += count;
    }
    this.start = offset;
    this.end = offset + filled;
  }

  close(): void {
    closeSync(this.descriptor);
  }
}
