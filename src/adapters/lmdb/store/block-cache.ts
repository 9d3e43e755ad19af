// Blocks as they were unpacked last, for a reader that takes many aggregates one after the other: those that were busy at the same
// time share blocks. A block never changes, so a copy stays true. Not for shards: an actor's load seldom meets the blocks of the last.

import { BlockView } from './block.ts';

/** Two halves: where the newer one is full, the older one is forgotten as a whole and filled again. */
export class BlockCache {
  private newer: Half;
  private older: Half;

  constructor(bytes: number) {
    this.newer = new Half(bytes >>> 1);
    this.older = new Half(bytes >>> 1);
  }

  /** Until the next {@link put}. */
  get(key: number): BlockView | undefined {
    return this.newer.blocks.get(key) ?? this.older.blocks.get(key);
  }

  /** Keeps a copy, if it is not too large. */
  put(key: number, block: Buffer): void {
    if (!this.newer.fits(block)) {
      [this.newer, this.older] = [this.older, this.newer];
      this.newer.clear();
    }
    if (this.newer.fits(block)) this.newer.put(key, block);
  }
}

class Half {
  /** Ready to be read: a block is looked at once for each event that a reader finds alone in it. */
  readonly blocks: Map<number, BlockView> = new Map();
  private readonly bytes: Buffer;
  private end = 0;

  constructor(bytes: number) {
    this.bytes = Buffer.allocUnsafeSlow(bytes);
  }

  fits(block: Buffer): boolean {
    return this.end + block.length <= this.bytes.length;
  }

  put(key: number, block: Buffer): void {
    const copy = this.bytes.subarray(this.end, this.end + block.length);
    block.copy(copy);
    const view = new BlockView();
    view.over(key, copy);
    this.blocks.set(key, view);
    this.end += block.length;
  }

  clear(): void {
    this.blocks.clear();
    this.end = 0;
  }
}
