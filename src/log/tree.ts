// LMDB's own pages, read without LMDB: is this file one that LMDB can be let loose on, and where are its chunks?
//
// LMDB believes its file. A flipped bit in a page of its tree can abort the process; one in its list of free pages makes it
// overwrite a chunk that is still needed. So before it opens a file, every page that it would follow is checked here:
// headers, bounds, order, counts, and that no page is used twice.

import { PAGE_BYTES, PAGE_HEADER_BYTES, pagesOf } from './layout.ts';
import {
  isOverflowRun,
  LONG_VALUE,
  LONG_VALUE_BYTES,
  type Meta,
  NODE_HEADER_BYTES,
  nodeAt,
  nodeBytes,
  PageFlag,
  readBigEndian,
  readMeta,
  readNumber,
  type Tree,
} from './lmdb-format.ts';
import type { PageFile } from './pages.ts';

const KEY_BYTES = 8;
const DEPTH_LIMIT = 32;
/** Pages that a transaction took and gave back are counted but not always written. */
const UNWRITTEN_PAGES_LIMIT = 1 << 16;

/** Where the chunks are, in the order of their keys. */
export interface ChunkPlaces {
  positions: number[];
  pages: number[];
  /** Bytes that LMDB keeps of each, padding included. */
  lengths: number[];
}

/** Something that is not as LMDB would have written it. */
class Fault extends Error {}

function expect(holds: boolean, fault: string): asserts holds {
  if (!holds) throw new Fault(fault);
}

/** The places of all chunks; or, as text, the first thing in the file that LMDB would not have written. */
export function readTree(file: PageFile): ChunkPlaces | string {
  try {
    return new TreeReader(file).read();
  } catch (error) {
    if (error instanceof Fault || error instanceof RangeError) return error.message;
    throw error;
  }
}

class TreeReader {
  private readonly file: PageFile;
  private readonly meta: Meta;
  private readonly used: Uint8Array;

  constructor(file: PageFile) {
    this.file = file;
    this.meta = this.newestMeta();
    this.used = new Uint8Array(this.meta.lastPage + 1);
    this.take(0, 2);
  }

  read(): ChunkPlaces {
    const places: ChunkPlaces = { positions: [], pages: [], lengths: [] };
    this.walk(this.meta.chunks, readBigEndian, (key, leaf, value, length, isLong) => {
      expect(isLong, `position ${key}: a chunk stored inline`);
      places.positions.push(key);
      places.pages.push(this.takeLong(leaf, value, length));
      places.lengths.push(length);
    });
    this.walk(this.meta.freeList, readNumber, (_, leaf, value, length, isLong) => {
      if (!isLong) return this.takeFree(leaf.subarray(value, value + length));
      const page = this.takeLong(leaf, value, length);
      const bytes = Buffer.from(this.file.read(page * PAGE_BYTES, PAGE_HEADER_BYTES + length));
      expect(isOverflowRun(bytes, page, length), `page ${page}: not the list of free pages it should be`);
      this.takeFree(bytes.subarray(PAGE_HEADER_BYTES));
    });
    return places;
  }

  /** LMDB writes its two metas in turns and follows the one of the later transaction: both must bear that out. */
  private newestMeta(): Meta {
    const [even, odd] = [readMeta(this.file, 0), readMeta(this.file, 1)];
    expect(even !== undefined && odd !== undefined, 'a meta page that is none');
    const inTurn = even.txn % 2 === 0 && odd.txn % 2 === 1 && Math.abs(even.txn - odd.txn) === 1;
    expect(inTurn || (even.txn === 0 && odd.txn === 0), `metas of transactions ${even.txn} and ${odd.txn}`);
    expect(even.freeList.flags === odd.freeList.flags, 'metas that differ in flags');
    const newest = even.txn > odd.txn ? even : odd;
    expect(newest.chunks.flags === 0, 'meta: flags of the chunks');
    const filePages = this.file.bytes / PAGE_BYTES;
    expect(newest.lastPage >= 1 && newest.lastPage < filePages + UNWRITTEN_PAGES_LIMIT, 'meta: last page');
    return newest;
  }

  /** Visit every leaf node in order of keys, and hold the tree to what its head says of it. */
  private walk(tree: Tree, readKey: ReadKey, visit: Visit): void {
    const seen = { branchPages: 0, leafPages: 0, entries: 0, overflowPages: 0 };
    let lastKey = -1;
    const visitPage = (page: number, level: number, low: number, high: number): void => {
      const bytes = this.readTreePage(page, level < tree.depth ? PageFlag.branch : PageFlag.leaf);
      const nodes = bytes.readUInt16LE(20) / 2;
      if (level < tree.depth) {
        seen.branchPages++;
        expect(nodes >= 2, `page ${page}: a branch of ${nodes}`);
        const keys: number[] = [];
        const children: number[] = [];
        for (let i = 0; i < nodes; i++) {
          const node = nodeAt(bytes, i);
          const keyBytes = bytes.readUInt16LE(node + 6);
          expect(i === 0 ? keyBytes <= KEY_BYTES : keyBytes === KEY_BYTES, `page ${page}: size of a key`);
          keys.push(i === 0 ? low : readKey(bytes, node + NODE_HEADER_BYTES));
          children.push(bytes.readUInt32LE(node) + bytes.readUInt16LE(node + 4) * 2 ** 32);
        }
        for (let i = 0; i < nodes; i++) {
          const end = i + 1 < nodes ? keys[i + 1]! : high;
          expect(keys[i]! < end, `page ${page}: order of keys`);
          visitPage(children[i]!, level + 1, keys[i]!, end);
        }
        return;
      }
      seen.leafPages++;
      for (let i = 0; i < nodes; i++) {
        const node = nodeAt(bytes, i);
        const flags = bytes.readUInt16LE(node + 4);
        const length = bytes.readUInt32LE(node);
        expect(bytes.readUInt16LE(node + 6) === KEY_BYTES && flags <= LONG_VALUE, `page ${page}: a node's header`);
        const value = node + NODE_HEADER_BYTES + KEY_BYTES;
        const valueBytes = flags === LONG_VALUE ? LONG_VALUE_BYTES : length;
        expect(value + valueBytes <= PAGE_BYTES, `page ${page}: a node beyond its page`);
        const key = readKey(bytes, node + NODE_HEADER_BYTES);
        expect(key > lastKey && key >= low && key < high, `page ${page}: order of keys`);
        lastKey = key;
        seen.entries++;
        if (flags === LONG_VALUE) seen.overflowPages += pagesOf(length);
        visit(key, bytes, value, length, flags === LONG_VALUE);
      }
    };
    expect(tree.depth <= DEPTH_LIMIT, 'depth of a tree');
    if (tree.depth > 0) visitPage(tree.root, 1, 0, Number.MAX_SAFE_INTEGER);
    else expect(tree.entries === 0, 'entries in an empty tree');
    for (const count of ['branchPages', 'leafPages', 'overflowPages', 'entries'] as const) {
      expect(seen[count] === tree[count], `${count}: ${seen[count]} found, ${tree[count]} claimed`);
    }
  }

  private readTreePage(page: number, flag: number): Buffer {
    this.take(page, 1);
    // A copy: the visitor of its nodes may read on meanwhile.
    const bytes = Buffer.from(this.file.read(page * PAGE_BYTES, PAGE_BYTES));
    const isPage =
      bytes.length === PAGE_BYTES &&
      readNumber(bytes, 0) === page &&
      readNumber(bytes, 8) <= this.meta.txn &&
      bytes.readUInt16LE(16) === 0 &&
      bytes.readUInt16LE(18) === flag;
    expect(isPage, `page ${page}: not a page of the tree`);
    const [lower, upper] = [bytes.readUInt16LE(20), bytes.readUInt16LE(22)];
    expect(lower % 2 === 0 && lower <= upper && upper <= PAGE_BYTES - PAGE_HEADER_BYTES, `page ${page}: bounds`);
    let freeBytes = PAGE_BYTES - PAGE_HEADER_BYTES - lower;
    for (let i = 0; i < lower / 2; i++) {
      const node = nodeAt(bytes, i);
      expect(
        node % 2 === 0 && node >= upper + PAGE_HEADER_BYTES && node + NODE_HEADER_BYTES <= PAGE_BYTES,
        `page ${page}: a node`,
      );
      freeBytes -= nodeBytes(bytes, node, flag === PageFlag.leaf);
    }
    expect(freeBytes === upper - lower, `page ${page}: ${freeBytes} bytes free, ${upper - lower} claimed`);
    return bytes;
  }

  /** The pages of a long value: noted as used, first one returned. */
  private takeLong(leaf: Buffer, value: number, length: number): number {
    const page = readNumber(leaf, value);
    expect(readNumber(leaf, value + 8) <= this.meta.txn, `page ${page}: from a transaction to come`);
    expect(readNumber(leaf, value + 16) === pagesOf(length), `page ${page}: number of pages`);
    this.take(page, pagesOf(length));
    return page;
  }

  /** A record of free pages: a count, then page numbers; a negative one is the length of a run that starts at the next. */
  private takeFree(record: Buffer): void {
    const count = readNumber(record, 0);
    expect((count + 1) * 8 <= record.length, 'a list of free pages beyond its record');
    for (let i = 1; i <= count; i++) {
      let page = Number(record.readBigInt64LE(i * 8));
      if (page === 0) continue;
      let run = 1;
      if (page < 0) {
        run = -page;
        if (++i > count) break;
        page = Number(record.readBigInt64LE(i * 8));
      }
      this.take(page, run);
    }
  }

  private take(page: number, run: number): void {
    const isInside = page >= 0 && page + run <= this.used.length;
    expect(isInside, `page ${page}: out of range`);
    for (let i = page; i < page + run; i++) {
      expect(this.used[i] === 0, `page ${i}: used twice`);
      this.used[i] = 1;
    }
  }
}

type ReadKey = (bytes: Buffer, at: number) => number;
type Visit = (key: number, leaf: Buffer, value: number, length: number, isLong: boolean) => void;
