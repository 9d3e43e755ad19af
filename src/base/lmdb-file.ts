// An LMDB file before it is opened, and as its writer fills it: never written beyond its reserve (see disk-reserve.ts). The
// writer's part is for the environments that sync each commit: the embedded store and the handlers' tables.
//
// A file that a power loss has met before its first sync has no valid meta pages, and nothing behind them: it never began.
// Anything else that LMDB would not have written is damage.

import { dirname } from 'node:path';
import { closeSync, existsSync, fstatSync, readSync, rmSync } from './disk.ts';
import { DiskReserve, diskFull, fillHoles } from './disk-reserve.ts';
import { syncFolder } from './durable-file.ts';
import { openPrivate } from './private-file.ts';

const metaPages = 2;
const pageBytes = 4096;
const metaMagic = 0xbeefc0de;
const Field = { magic: 24, txn: 24 + 128 } as const;
const pieceBytes = 1 << 20;
/** For the first commits of a new environment, and for a look at the others. */
export const startPages = 64;

/** Statistics of one table, as lmdb-js gives them. */
interface TableStats {
  treeBranchPageCount: number;
  treeLeafPageCount: number;
}

interface Table {
  getStats(): object;
}

/** What one commit changes, at most. */
export interface CommitSize {
  /** Entries that are put, wherever they lie. */
  puts: number;
  /** Entries that are removed and not put. */
  removals: number;
  /** Bytes of keys and values that are put. */
  bytes: number;
}

/** Before LMDB opens the file for writing. Removes one that never began. @throws DiskFull */
export function prepareFile(file: string): void {
  if (neverBegan(file)) {
    rmSync(file);
    syncFolder(dirname(file));
  }
  fillHoles(file);
}

/** Whether the file's beginning never came to the disk. Reads as far as there are zeros. */
export function neverBegan(file: string): boolean {
  if (!existsSync(file)) return false;
  const descriptor = openPrivate(file, 'read');
  try {
    const piece = Buffer.alloc(pieceBytes);
    let isMissing = false;
    for (let meta = 0; meta < metaPages; meta++) {
      const count = readSync(descriptor, piece.fill(0, 0, pageBytes), 0, pageBytes, meta * pageBytes);
      const page = piece.subarray(0, pageBytes);
      const isNew = page.readUInt32LE(Field.magic) === metaMagic && page.readBigUInt64LE(Field.txn) === 0n;
      if (!isNew && !isZero(page)) return false;
      if (!isNew || count < pageBytes) isMissing = true;
    }
    if (!isMissing) return false;
    const { size } = fstatSync(descriptor);
    for (let offset = metaPages * pageBytes; offset < size; ) {
      const count = readSync(descriptor, piece, 0, pieceBytes, offset);
      if (!isZero(piece.subarray(0, count))) return false;
      offset += count;
    }
    return true;
  } finally {
    closeSync(descriptor);
  }
}

const isZero = (bytes: Buffer): boolean => bytes.every((byte) => byte === 0);

/** The room of an environment that is open for writing. Owned by the thread that writes it. */
export class LmdbRoom {
  private readonly reserve: DiskReserve;
  private readonly tables: readonly Table[];
  private readonly aheadPages: number;
  /** What the trees have at most: as counted last, and what was put since. Counting them for each commit is dear. */
  private treePagesMost = Number.POSITIVE_INFINITY;

  /** `aheadBytes`: how much the file grows beyond what is needed. @throws DiskFull */
  constructor(file: string, tables: readonly Table[], aheadBytes: number) {
    this.tables = tables;
    this.reserve = new DiskReserve(file);
    this.aheadPages = Math.ceil(aheadBytes / this.reserve.pageBytes);
    try {
      this.reserve.require(this.reserve.usedPages() + startPages);
    } catch (error) {
      this.reserve.close();
      throw error;
    }
  }

  /** From within the transaction, before its first change. @throws DiskFull if there is no room for such a commit */
  require(size: CommitSize): void {
    const { reserve, aheadPages } = this;
    const used = reserve.usedPages();
    let needed = used + this.pagesOf(size, used);
    if (needed > reserve.pages) {
      this.treePagesMost = this.treePages();
      needed = used + this.pagesOf(size, used);
    }
    if (!reserve.covers(needed, aheadPages)) throw diskFull(reserve.file, needed * reserve.pageBytes);
    this.treePagesMost += this.pagesPut(size);
  }

  /**
   * What a commit adds at most. Each change copies a path of its tree, all of them no more than the trees have; and the list
   * of free pages may be written again.
   */
  private pagesOf(size: CommitSize, usedPages: number): number {
    const pathPages = 4;
    const copied = Math.min((size.puts + size.removals) * pathPages, this.treePagesMost);
    return copied + this.pagesPut(size) + 64 + (usedPages >> 8);
  }

  /** What is put lies in pages that are half full at least, or in pages of its own. */
  private pagesPut({ puts, bytes }: CommitSize): number {
    return Math.ceil(bytes / (this.reserve.pageBytes / 2) + puts / 8);
  }

  private treePages(): number {
    let pages = 0;
    for (const table of this.tables) {
      const { treeBranchPageCount, treeLeafPageCount } = table.getStats() as TableStats;
      pages += treeBranchPageCount + treeLeafPageCount;
    }
    return pages;
  }

  close(): void {
    this.reserve.close();
  }
}
