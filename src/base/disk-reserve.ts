// Room on the disk that an LMDB file has for itself. LMDB may corrupt the process's memory when a page cannot be written
// (lmdb-js 3.5.6, `mdb_page_flush`: it words the failure in 100 bytes that it overruns), so no write may fail for want of
// room: the file is longer than what LMDB uses, by zeros that are written, and a commit begins only if what it may add at
// most lies within. Others can fill the disk; they cannot take these blocks.
//
//   0 ├ pages in use, pages given back ┤ lastPage ├ zeros: the reserve ┤ size of the file
//
// Owned by the thread that writes the environment. The log's is grown by its sync thread as well, ahead of need: zeros are
// written behind the file's end only, under a lock, where LMDB never writes.
//
// - Where the file system writes in place (ext4, XFS, tmpfs, APFS without clones), a commit within the reserve needs no
//   block. Where it writes elsewhere (btrfs, ZFS), the reserve promises nothing; there the disk's own room is asked for.
// - A hole in the file is a block that is not there: one that was copied sparsely is filled before it is opened.

import { dirname } from 'node:path';
import { performance } from './clock.ts';
import { closeSync, fstatSync, ftruncateSync, readSync, statfsSync, statSync, writeSync } from './disk.ts';
import { TrunklineError } from './errors.ts';
import { openPrivate } from './private-file.ts';

const metaPages = 2;
const fallbackPageBytes = 4096;
/** In a meta page, behind its header: page size, last page. */
const Field = { pageBytes: 24 + 24, lastPage: 24 + 120 } as const;
/**
 * Written at once: one page. The kernel (Linux 6.16 and later, ext4) makes one folio of each larger piece, and a page that is
 * written afterwards makes all of its folio dirty: six times the bytes for each commit, and twice its time.
 */
const pieceBytes = 4096;
/** How much of the disk a copy-on-write file system keeps for what runs beside a commit. */
const besideBytes = 1 << 20;
/** What growing leaves on the disk: for small files (markers, notes), and for other programs. */
const leastRoomBytes = 4 << 20;
/** Longer than LMDB makes its table of readers at 256 of them. */
const lockFileBytes = 64 << 10;
/** They write elsewhere than where a page was: btrfs, ZFS, bcachefs. */
const copyOnWrite: ReadonlySet<number> = new Set([0x9123683e, 0x2fc12fc1, 0xca451a4e]);

const askAgainMs = 100;

const zeros = Buffer.alloc(pieceBytes);

/** For threads that share a reserve: only one of them grows it at a time. */
export interface ReserveLock {
  enter(): void;
  leave(): void;
}

const noLock: ReserveLock = { enter() {}, leave() {} };

export class DiskReserve {
  readonly file: string;
  private readonly descriptor: number;
  private readonly lock: ReserveLock;
  private readonly isCopyOnWrite: boolean;
  private readonly field = Buffer.alloc(8);
  readonly pageBytes: number;
  private isClosed = false;
  /** Size of the file. */
  private bytes: number;
  /** So large it could not be made, and is not tried to be until then: each try writes. */
  private refused: { pages: number; untilMs: number } = { pages: Number.POSITIVE_INFINITY, untilMs: 0 };

  /** The file exists. */
  constructor(file: string, lock: ReserveLock = noLock) {
    this.file = file;
    this.lock = lock;
    this.descriptor = openPrivate(file, 'write');
    try {
      this.isCopyOnWrite = copyOnWrite.has(statfsSync(dirname(file)).type);
      readSync(this.descriptor, this.field, 0, 4, Field.pageBytes);
      this.pageBytes = this.field.readUInt32LE(0) || fallbackPageBytes;
      this.bytes = fstatSync(this.descriptor).size;
    } catch (error) {
      closeSync(this.descriptor);
      throw error;
    }
  }

  /** Pages that LMDB has given out so far, meta pages included: as its newest commit says. */
  usedPages(): number {
    let last = metaPages - 1;
    for (let meta = 0; meta < metaPages; meta++) {
      readSync(this.descriptor, this.field, 0, 8, meta * this.pageBytes + Field.lastPage);
      last = Math.max(last, Number(this.field.readBigUInt64LE(0)));
    }
    return last + 1;
  }

  /** Pages that the file has room for. */
  get pages(): number {
    return Math.floor(this.bytes / this.pageBytes);
  }

  /** Another thread may have made the file longer. Not in the middle of that: what it cannot end it cuts off again. */
  look(): void {
    const { descriptor, lock } = this;
    lock.enter();
    try {
      this.bytes = fstatSync(descriptor).size;
    } finally {
      lock.leave();
    }
  }

  /** Whether LMDB may come to `pages` pages in all; grows the file, to `aheadPages` beyond if it has to. */
  covers(pages: number, aheadPages: number): boolean {
    const isCovered = pages <= this.pages || this.grow(pages + aheadPages) || this.grow(pages);
    return isCovered && !(this.isCopyOnWrite && freeBytesBeside(this.file) < besideBytes + leastRoomBytes);
  }

  /** Make the file so many pages long, of blocks that are its own. False if the disk has no room for them. */
  grow(pages: number): boolean {
    const { descriptor, lock, refused } = this;
    if (pages >= refused.pages && performance.now() < refused.untilMs) return false;
    lock.enter();
    const before = fstatSync(descriptor).size;
    try {
      this.bytes = before;
      const end = pages * this.pageBytes;
      if (end <= before) return true;
      if (freeBytesBeside(this.file) < end - before + leastRoomBytes) return false;
      while (this.bytes < end) {
        // What is cut short in the middle of a page is written on from there.
        const count = writeSync(descriptor, zeros, 0, Math.min(pieceBytes, end - this.bytes), this.bytes);
        if (count === 0) return false;
        this.bytes += count;
      }
      return true;
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      // What a quota or a limit has let through until it said no goes back: small files need it.
      ftruncateSync(descriptor, before);
      this.bytes = before;
      this.refused = { pages, untilMs: performance.now() + askAgainMs };
      return false;
    } finally {
      lock.leave();
    }
  }

  /** @throws DiskFull */
  require(pages: number): void {
    if (this.covers(pages, 0)) return;
    throw diskFull(this.file, pages * this.pageBytes - this.bytes + leastRoomBytes);
  }

  /** Idempotent. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    closeSync(this.descriptor);
  }
}

/**
 * What an environment's table of readers takes: LMDB maps it, and the kernel ends a process (SIGBUS) that touches a mapped
 * hole for which there is no block. Before the environment is opened.
 * @throws DiskFull
 */
export function reserveLockFile(dataFile: string): void {
  fillHoles(`${dataFile}-lock`, lockFileBytes);
}

/**
 * Give a file that was copied sparsely all of its blocks, and at least so many bytes. One that is whole is not even opened:
 * closing it would give up the locks that LMDB has on its table of readers, should this process have the environment open.
 * @throws DiskFull
 */
export function fillHoles(file: string, leastBytes = 0): void {
  const { size, blocks } = statSync(file, { throwIfNoEntry: false }) ?? { size: -1, blocks: 0 };
  if (size < 0 && leastBytes === 0) return;
  const isWhole = blocks * 512 >= size || copyOnWrite.has(statfsSync(dirname(file)).type);
  if (isWhole && size >= leastBytes) return;
  const end = Math.max(size, leastBytes);
  const descriptor = openPrivate(file, 'openOrMake');
  try {
    const piece = Buffer.alloc(fallbackPageBytes);
    for (let offset = 0; offset < end; offset += piece.length) {
      const count = readSync(descriptor, piece.fill(0), 0, piece.length, offset);
      if (count > 0 && !piece.equals(zeros.subarray(0, piece.length))) continue;
      const wanted = Math.min(piece.length, end - offset);
      if (writeSync(descriptor, zeros, 0, wanted, offset) !== wanted) throw diskFull(file, end);
    }
  } catch (error) {
    throw isDiskFull(error) ? diskFull(file, end) : error;
  } finally {
    closeSync(descriptor);
  }
}

/** Whether a new file of so many bytes has room, and leaves some. @throws DiskFull */
export function requireRoom(file: string, bytes: number): void {
  if (freeBytesBeside(file) < bytes + leastRoomBytes) throw diskFull(file, bytes + leastRoomBytes);
}

function freeBytesBeside(file: string): number {
  const { bavail, bsize } = statfsSync(dirname(file));
  return bavail * bsize;
}

/** Whether a file system call failed for want of room: on the disk, within a quota, or within the limit of a file's size. */
export function isDiskFull(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
}

export function diskFull(path: string, neededBytes: number, cause?: unknown): TrunklineError {
  let freeBytes = 0;
  try {
    freeBytes = freeBytesBeside(path);
  } catch {}
  return new TrunklineError('DiskFull', { path, neededBytes, freeBytes }, cause === undefined ? undefined : { cause });
}
