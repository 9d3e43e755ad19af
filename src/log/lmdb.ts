// The log in LMDB: key = a chunk's first position (8 bytes, big-endian), value = the chunk. One thread writes, any thread
// reads. Opened only on a file that recovery has found sound: opening a damaged one can abort the process.
//
// - A commit writes to the page cache and does not sync (`noSync`): microseconds. sync-thread.ts does the rest.
// - Every chunk is longer than LMDB's inline limit, so it has overflow pages of its own: written once, never moved, freed
//   by truncation alone.
// - A chunk is truncated only after the floor file has said durably that nobody needs it: from then on its pages may be
//   overwritten at any moment, and a scan after power loss must not take the hole for lost events.
// - The newest chunk always stays, so that the file itself says which position comes next.
// - After a failed write nothing more is written: LMDB promises nothing about such an environment.
import { existsSync, statfsSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { syncFile, syncFolder } from '../durable-file.ts';
import { isError, TrunklineError } from '../errors.ts';
import { CHUNK_HEADER_BYTES, type ParsedChunk, parseChunk, readCount } from './chunk.ts';
import { FloorFile } from './floor.ts';
import { throughGate } from './gate.ts';
import { dataFileOf, PAGE_BYTES, pagesOf } from './layout.ts';
import { Levels } from './levels.ts';
import type { Chunk, LogSource } from './log.ts';
import { inSnapshot } from './snapshot.ts';

/**
 * The map that a log of `maxBytes` needs. Appends stop at `maxBytes`; truncation needs a few pages before it gives any
 * back, and a large chunk needs free pages that stand side by side, so the file may grow somewhat beyond. Past the map's
 * end LMDB would map the file anew under its readers: the half on top keeps it from that, and costs addresses only.
 */
export const mapBytesFor = (maxBytes: number): number =>
  PAGE_BYTES * Math.ceil((maxBytes * 1.5 + SPARE_BYTES) / PAGE_BYTES);
/**
 * From how many bytes on no user's command is let in: what is left is for those under way (`whenFull: 'reject'`), and for
 * internal traffic, which frees the log. A quarter of what retention does not keep, or 64 MiB, or twice what the rings
 * hold, since what is in them is taken on in any case.
 */
export const admitBytesOf = (log: { maxBytes: number; retainBytes: number }, ringsBytes: number): number =>
  log.maxBytes - Math.min(Math.floor((log.maxBytes - log.retainBytes) / 4), Math.max(64 << 20, 2 * ringsBytes));
const limitOf = (mapBytes: number): number => Math.floor((mapBytes - SPARE_BYTES) / 1.5);
const SPARE_BYTES = 16 << 20;
/** A disk with less room than the largest write may have cut one short. */
const SPARE_DISK_BYTES = 64 << 20;
/** Room that appends leave on a disk: for truncation, for small files, for the store to catch up. */
const LEAST_ROOM_BYTES = 8 << 20;
/** The disk is looked at again after so many bytes; others may be filling it meanwhile. */
const LOOK_AGAIN_BYTES = 4 << 20;

function openData(folder: string, mapBytes: number, readOnly: boolean): RootDatabase<Buffer, Uint8Array> {
  const options = {
    readOnly,
    noSync: true,
    mapSize: mapBytes,
    pageSize: PAGE_BYTES,
    encoding: 'binary' as const,
    keyEncoding: 'binary' as const,
    cache: false,
    overlappingSync: false,
    maxDbs: 1,
    permissionsMode: 0o600,
  };
  return open<Buffer, Uint8Array>(dataFileOf(folder), options);
}

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
  private readonly levels: Levels;
  private readonly limitBytes: number;
  private readonly key: Buffer = Buffer.allocUnsafeSlow(8);
  private failure: unknown;
  private usedPages: number;
  private roomBytes = 0;
  /** First and last position kept; 0 and 0 while the log is empty. */
  firstPosition = 0;
  lastPosition = 0;

  private constructor(folder: string, mapBytes: number, levels: Levels) {
    this.dataFile = dataFileOf(folder);
    this.levels = levels;
    const isNew = !existsSync(this.dataFile);
    this.data = openData(folder, mapBytes, false);
    if (isNew) {
      syncFile(this.dataFile);
      syncFolder(folder);
    }
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

  /** `levels`: those of the runtime, whose end its transactions must not meet; see `gate.ts`. */
  static open(folder: string, mapBytes: number, levels: Levels = new Levels()): LogWriter {
    return new LogWriter(folder, mapBytes, levels);
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
    if (this.usedBytes + bytes > this.limitBytes) this.full();
    if (!this.hasRoom(bytes)) this.full(new Error('the disk is full'));
    writeKey(this.key, firstPosition);
    this.commit(() => this.data.putSync(this.key, chunk, { append: true }));
    this.usedPages += pagesOf(chunk.length);
    if (this.firstPosition === 0) this.firstPosition = firstPosition;
    this.lastPosition = firstPosition + readCount(chunk) - 1;
  }

  /** Several appends in one transaction; for rebuilding, where nobody waits for a single one. */
  together(appends: () => void): void {
    this.commit(appends);
  }

  /**
   * Remove chunks that lie wholly below `position`, oldest first, at most `most`; returns how many. The floor file
   * is synced when a chunk to be removed lies above what it says, and then says `position`: the further that is ahead of
   * the head, the rarer the syncs.
   */
  truncateBelow(position: number, most: number): number {
    const end = Math.min(position, this.lastPosition);
    if (this.failure === undefined && (this.firstPosition === 0 || this.firstPosition >= end)) return 0;
    const heads = inSnapshot(this.data, () => Array.from(this.data.getKeys({ limit: most + 1 }), readKey));
    // A chunk ends where the next one begins; the newest has no next one and stays.
    let removed = 0;
    while (removed + 1 < heads.length && heads[removed + 1]! <= position) removed++;
    if (removed === 0) return 0;
    if (heads[removed]! > this.floorFile.floor) this.guard(() => this.floorFile.raise(position));
    try {
      return this.remove(heads, removed);
    } catch (error) {
      // On a full disk even this may find no page; there will be some when others have given theirs back.
      if (isError(error, 'LogFull')) return 0;
      throw error;
    }
  }

  private remove(heads: readonly number[], removed: number): number {
    let pages = 0;
    this.commit(() => {
      for (const head of heads.slice(0, removed)) {
        writeKey(this.key, head);
        this.data.getBinaryFast(this.key);
        pages += pagesOf((this.data as unknown as { lastSize: number }).lastSize);
        this.data.removeSync(this.key);
      }
    });
    this.usedPages -= pages;
    this.firstPosition = heads[removed]!;
    return removed;
  }

  /** Closes the file; syncs nothing. */
  async close(): Promise<void> {
    this.floorFile.close();
    await this.data.close();
  }

  private commit(write: () => void): void {
    this.guard(() => throughGate(this.levels, () => this.data.transactionSync(write, 2)));
  }

  private guard(write: () => void): void {
    if (this.failure !== undefined) throw new TrunklineError('LogPoisoned', { cause: String(this.failure) });
    try {
      write();
    } catch (error) {
      if (this.isDiskFull(error)) this.full(error);
      this.failure = error;
      throw error;
    }
  }

  /**
   * Whether a write failed for want of room alone. LMDB has then taken the transaction back and can go on; a write of half
   * a page it reports as EIO. If it was the meta page that failed (no page is named), LMDB cannot go on.
   */
  private isDiskFull(error: unknown): boolean {
    const { code, message } = error as { code?: number | string; message?: string };
    if (code === constants.errno.ENOSPC && message?.includes('write page')) return true;
    if (code !== constants.errno.EIO) return false;
    const { bavail, bsize } = statfsSync(dirname(this.dataFile));
    return bavail * bsize < SPARE_DISK_BYTES;
  }

  /**
   * Whether the disk can take so much more. No commit shall run into its end: the words that lmdb-js 3.5.6 finds for a
   * page that could not be written may be longer than the memory it has for them, which can end the process.
   */
  private hasRoom(bytes: number): boolean {
    this.roomBytes -= bytes;
    if (this.roomBytes > 0) return true;
    const { bavail, bsize } = statfsSync(dirname(this.dataFile));
    this.roomBytes = Math.min(bavail * bsize - bytes - LEAST_ROOM_BYTES, LOOK_AGAIN_BYTES);
    // Without any: what truncation has left in the file may do, if it is plenty.
    return this.roomBytes > 0 || this.usedBytes + bytes < statSync(this.dataFile).size / 2;
  }

  private full(cause?: unknown): never {
    const details = { usedBytes: this.usedBytes, limitBytes: this.limitBytes };
    throw new TrunklineError('LogFull', details, cause === undefined ? undefined : { cause });
  }
}

function soundChunk(bytes: Buffer, folder: string): ParsedChunk {
  const chunk = parseChunk(bytes);
  if (chunk) return chunk;
  throw new TrunklineError('LogDamaged', { dataDir: dirname(folder), reason: 'a chunk is not as it was written' });
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
