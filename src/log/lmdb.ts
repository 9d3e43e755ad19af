// The log in LMDB: key = a chunk's first position (8 bytes, big-endian), value = the chunk. One thread writes, any thread
// reads. Opened only on a file that recovery has found sound: opening a damaged one can abort the process.
//
// - A commit writes to the page cache and does not sync (`noSync`): microseconds. sync-thread.ts does the rest.
// - Every chunk is longer than LMDB's inline limit, so it has overflow pages of its own: written once, never moved, freed
//   by truncation alone.
// - A chunk is truncated only after the floor file has said durably that no cursor needs it: from then on its pages may
//   be overwritten at any moment, and a scan after power loss must not take the hole for lost events.
// - The newest chunk always stays, so that the file itself says which position comes next.
// - No write runs into the end of the disk: a commit begins only if what it may add lies within the file's reserve (see
//   disk-reserve.ts). Appends leave enough of it for truncation.
// - After a failed write nothing more is written, and nothing is tried again: LMDB promises nothing about such an environment.
import { dirname } from 'node:path';
import type { RootDatabase } from 'lmdb';
import { DiskReserve } from '../base/disk-reserve.ts';
import { TrunklineError } from '../base/errors.ts';
import { openLmdb } from '../base/lmdb-open.ts';
import { ControlBlock } from '../shared/control-block.ts';
import { guardTransaction } from '../shared/exit-guard.ts';
import { reserveLock } from '../shared/reserve-lock.ts';
import { CHUNK_HEADER_BYTES, type ParsedChunk, parseChunk, readCount } from './chunk.ts';
import { FloorFile } from './floor.ts';
import { dataFileOf, PAGE_BYTES, pagesOf, SHORT_PAGES } from './layout.ts';
import type { Chunk, LogSource } from './log.ts';
import { inSnapshot } from './snapshot.ts';

/**
 * The map that a log of `maxBytes` needs. Appends stop at `maxBytes`; truncation needs a few pages before it gives any
 * back, and a large chunk needs free pages that stand side by side, so the file may grow somewhat beyond. Past the map's
 * end LMDB would map the file again under its readers: the half on top keeps it from that, and costs addresses only.
 */
export const mapBytesFor = (maxBytes: number): number =>
  PAGE_BYTES * Math.ceil((maxBytes * 1.5 + SPARE_BYTES) / PAGE_BYTES);
/**
 * From how many bytes on no user's command is let in: what is left is for those that have begun (`whenFull: 'reject'`)
 * and internal traffic, which frees the log. A quarter of what retention does not keep, or 64 MiB, or twice what the
 * rings hold, since what is in them is taken on in any case.
 */
export const admitBytesOf = (log: { maxBytes: number; retainBytes: number }, ringsBytes: number): number =>
  log.maxBytes - Math.min(Math.floor((log.maxBytes - log.retainBytes) / 4), Math.max(64 << 20, 2 * ringsBytes));
const limitOf = (mapBytes: number): number => Math.floor((mapBytes - SPARE_BYTES) / 1.5);
const SPARE_BYTES = 16 << 20;
/** What one commit adds beyond its chunk, at most: pages of the tree that are copied or split, and the list of free pages. */
const treePages = (usedPages: number): number => 32 + (usedPages >> 8);
/** What appends leave for truncations: some of them, before they give anything back. */
const keptPages = (usedPages: number): number => 4 * treePages(usedPages);
/** What one truncation touches beside its tree, for each chunk removed: its entry, and its pages in the list of free ones. */
const pagesPerRemoved = 1 / 8;

function openData(folder: string, mapBytes: number, readOnly: boolean): RootDatabase<Buffer, Uint8Array> {
  return openLmdb(dataFileOf(folder), {
    readOnly,
    noSync: true,
    mapSize: mapBytes,
    pageSize: PAGE_BYTES,
    encoding: 'binary',
    keyEncoding: 'binary',
    cache: false,
    overlappingSync: false,
    maxDbs: 1,
    startPages: 2 * keptPages(0),
    damaged: (reason) => damaged(folder, reason),
  });
}

const damaged = (folder: string, reason: string): TrunklineError =>
  new TrunklineError('LogDamaged', { dataDir: dirname(folder), reason });

function writeKey(key: Buffer, position: number): Buffer {
  key.writeBigUInt64BE(BigInt(position));
  return key;
}

const readKey = (key: Uint8Array): number => Number(Buffer.from(key.buffer, key.byteOffset, 8).readBigUInt64BE());

/** The writing side: owned by the log thread. Open it before any reader. */
export class LogWriter {
  readonly dataFile: string;
  private readonly data: RootDatabase<Buffer, Uint8Array>;
  private readonly floorFile: FloorFile;
  private readonly control: ControlBlock;
  private readonly limitBytes: number;
  private readonly key: Buffer = Buffer.allocUnsafeSlow(8);
  private failure: unknown;
  private usedPages: number;
  private readonly reserve: DiskReserve;
  /** LMDB has given out no page beyond this one; exact whenever the reserve has been looked at. */
  private pageCeiling: number;
  private isTogether = false;
  /**
   * The file cannot be made as long as it should be. Appends go on in pages that truncation has given back, which LMDB takes first;
   * once what is ahead is used up, such pages are of no use, because nothing says beforehand that a chunk fits into them.
   */
  isShort = false;
  /** First and last position kept; 0 and 0 while the log is empty. */
  firstPosition = 0;
  lastPosition = 0;

  private constructor(folder: string, mapBytes: number, control: ControlBlock) {
    this.dataFile = dataFileOf(folder);
    this.control = control;
    this.data = openData(folder, mapBytes, false);
    this.reserve = new DiskReserve(this.dataFile, reserveLock(control));
    this.pageCeiling = this.reserve.usedPages();
    this.reserve.covers(this.pageCeiling + 2 * keptPages(this.pageCeiling), 0); // else nothing is appended until there is room
    this.floorFile = FloorFile.open(folder);
    this.limitBytes = limitOf(mapBytes);
    this.usedPages = inSnapshot(this.data, () => (this.data.getStats() as { overflowPages: number }).overflowPages);
    inSnapshot(this.data, () => {
      for (const key of this.data.getKeys({ limit: 1 })) this.firstPosition = readKey(key);
      for (const { key, value } of this.data.getRange({ reverse: true, limit: 1 })) {
        this.lastPosition = readKey(key) + soundChunk(value, folder).count - 1;
      }
    });
  }

  /** `levels`: those of the runtime, whose end its transactions must not meet; see `exit-guard.ts`. */
  static open(folder: string, mapBytes: number, control: ControlBlock = new ControlBlock()): LogWriter {
    return new LogWriter(folder, mapBytes, control);
  }

  /** Bytes of the file that the chunks kept take. */
  get usedBytes(): number {
    return this.usedPages * PAGE_BYTES;
  }

  /**
   * Commit one sealed chunk, which follows the last one. Throws `LogFull`, with nothing written and everything as it was:
   * truncate and try again. Any other error is final.
   */
  append(firstPosition: number, chunk: Buffer): void {
    const bytes = pagesOf(chunk.length) * PAGE_BYTES;
    if (this.usedBytes + bytes > this.limitBytes) this.full(false);
    const pages = pagesOf(chunk.length);
    if (!this.isTogether && !this.isCovered(pages, keptPages(this.pageCeiling), SHORT_PAGES)) {
      this.full(true);
    }
    writeKey(this.key, firstPosition);
    this.commit(() => this.data.putSync(this.key, chunk, { append: true }));
    this.usedPages += pagesOf(chunk.length);
    if (this.firstPosition === 0) this.firstPosition = firstPosition;
    this.lastPosition = firstPosition + readCount(chunk) - 1;
  }

  /** Several appends of so many bytes in one transaction; for rebuilding, where nothing waits for one. @throws DiskFull */
  together(bytes: number, appends: () => void): void {
    const used = this.reserve.usedPages();
    // Of a chunk's entry in the tree there are some eighty to a page.
    this.reserve.require(used + Math.ceil((bytes / PAGE_BYTES) * (1 + 1 / 40)) + treePages(used));
    this.isTogether = true;
    try {
      this.commit(appends);
    } finally {
      this.isTogether = false;
    }
  }

  /**
   * Remove chunks that lie wholly below `position`, oldest first, at most `most`, while those that stay take `keptBytes`;
   * returns how many. The floor file is synced when a chunk to be removed lies above what it says, and then says `position`:
   * the further that is ahead of the head, the rarer the syncs.
   */
  truncateBelow(position: number, most: number, keptBytes = 0): number {
    const end = Math.min(position, this.lastPosition);
    if (this.failure === undefined && (this.firstPosition === 0 || this.firstPosition >= end)) return 0;
    const heads = inSnapshot(this.data, () => Array.from(this.data.getKeys({ limit: most + 1 }), readKey));
    // A chunk ends where the next one begins; the newest has no next one and stays.
    let below = 0;
    while (below + 1 < heads.length && heads[below + 1]! <= position) below++;
    const { removed, pages } = this.outside(heads.slice(0, below), this.usedPages - Math.ceil(keptBytes / PAGE_BYTES));
    if (removed === 0) return 0;
    // On a full disk even this may find no room; there will be some when others have given theirs back.
    if (!this.isCovered(Math.ceil(removed * pagesPerRemoved + (this.usedPages >> 9)), 0)) return 0;
    if (heads[removed]! > this.floorFile.floor) this.guard(() => this.floorFile.raise(position));
    this.commit(() => {
      for (const head of heads.slice(0, removed)) this.data.removeSync(writeKey(this.key, head));
    });
    this.usedPages -= pages;
    this.firstPosition = heads[removed]!;
    return removed;
  }

  /** How many of these chunks, from the first one on, take at most so many pages, and what they take. */
  private outside(heads: readonly number[], most: number): { removed: number; pages: number } {
    return inSnapshot(this.data, () => {
      let pages = 0;
      for (const [removed, head] of heads.entries()) {
        this.data.getBinaryFast(writeKey(this.key, head));
        const after = pages + pagesOf((this.data as unknown as { lastSize: number }).lastSize);
        if (after > most) return { removed, pages };
        pages = after;
      }
      return { removed: heads.length, pages };
    });
  }

  /** Closes the file; syncs nothing. */
  async close(): Promise<void> {
    this.floorFile.close();
    await this.data.close();
    this.reserve.close();
  }

  private commit(write: () => void): void {
    this.guard(() => guardTransaction(this.control, () => this.data.transactionSync(write, 2)));
  }

  private guard(write: () => void): void {
    if (this.failure !== undefined) throw new TrunklineError('LogPoisoned', { cause: String(this.failure) });
    try {
      write();
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }

  /**
   * Whether a commit of so many pages, besides those of the tree, lies within the reserve, and leaves so many of it. `aheadPages`:
   * what the file should have beyond.
   */
  private isCovered(pages: number, left: number, aheadPages = 0): boolean {
    const { reserve } = this;
    let added = pages + treePages(this.pageCeiling);
    let isAhead = this.pageCeiling + added + left + aheadPages <= reserve.pages;
    let isCovered = isAhead;
    if (!isAhead) {
      reserve.look();
      this.pageCeiling = reserve.usedPages();
      added = pages + treePages(this.pageCeiling);
      const wanted = this.pageCeiling + added + left;
      isAhead = reserve.covers(wanted + aheadPages, aheadPages);
      isCovered = isAhead || reserve.covers(wanted, 0);
    }
    if (aheadPages > 0) this.isShort = !isAhead;
    if (!isCovered) return false;
    this.pageCeiling += added;
    return true;
  }

  private full(diskIsFull: boolean): never {
    throw new TrunklineError('LogFull', { usedBytes: this.usedBytes, limitBytes: this.limitBytes, diskIsFull });
  }
}

function soundChunk(bytes: Buffer, folder: string): ParsedChunk {
  const chunk = parseChunk(bytes);
  if (chunk) return chunk;
  throw damaged(folder, 'a chunk is not as it was written');
}

/** The reading side, for any thread; `LogWriter.open` comes first. Holds no pages between reads. */
export function openLogReader(folder: string, mapBytes: number): LogSource {
  return new LogReader(folder, mapBytes);
}

class LogReader implements LogSource {
  private readonly folder: string;
  private readonly data: RootDatabase<Buffer, Uint8Array>;
  private readonly key: Buffer = Buffer.allocUnsafeSlow(8);
  private copy: Buffer = Buffer.allocUnsafeSlow(1 << 16);
  private following = 0;

  constructor(folder: string, mapBytes: number) {
    this.folder = folder;
    this.data = openData(folder, mapBytes, true);
  }

  read(from: number): Chunk | undefined {
    return inSnapshot(this.data, () => {
      // Reading on from where the last chunk ended is the rule, and needs no search.
      let found = from === this.following ? this.data.getBinaryFast(writeKey(this.key, from)) : undefined;
      found ??= this.search(from);
      return found && this.take(found);
    });
  }

  firstPosition(): number {
    return inSnapshot(this.data, () => {
      for (const key of this.data.getKeys({ limit: 1 })) return readKey(key);
      return 0;
    });
  }

  async close(): Promise<void> {
    await this.data.close();
  }

  private search(from: number): Buffer | undefined {
    for (const { key, value } of this.data.getRange({ start: writeKey(this.key, from), reverse: true, limit: 1 })) {
      if (readKey(key) + readCount(value) > from) return value;
    }
    for (const { value } of this.data.getRange({ start: writeKey(this.key, from), limit: 1 })) return value;
    return undefined;
  }

  /** Out of the library's buffer, which the next read from any of this thread's databases overwrites. */
  private take(found: Buffer): Chunk {
    const chunk = soundChunk(found, this.folder);
    if (this.copy.length < chunk.frameBytes) this.copy = Buffer.allocUnsafeSlow(2 * chunk.frameBytes);
    found.copy(this.copy, 0, CHUNK_HEADER_BYTES, CHUNK_HEADER_BYTES + chunk.frameBytes);
    this.following = chunk.firstPosition + chunk.count;
    return {
      firstPosition: chunk.firstPosition,
      count: chunk.count,
      frames: this.copy.subarray(0, chunk.frameBytes),
    };
  }
}
