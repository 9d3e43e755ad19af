// The one door to LMDB's `open`. In lmdb-js 3.5.6 an open that fails within LMDB ends the process (it goes on with what it
// has freed), and so does a new file whose first pages find no room. Therefore LMDB never makes a file, and never opens one
// of which can be known that the open would fail:
//
// - A new file is made here, of the pages that LMDB would write: whole, durable, then with its reserve.
// - Where opening writes (it makes the tables that are missing), the file has the reserve for that.
// - The table of readers beside it has all of its blocks. Both can be opened, and there are descriptors left for them.
// - The file begins with LMDB's pages.
//
// Errors of the file system come as Node words them. What else may be wrong in a file is found by examining it, see examine.ts.
import { accessSync, closeSync, constants, existsSync, readSync } from './disk.ts';
import { DiskReserve, diskFull, isDiskFull, requireRoom, reserveLockFile } from './disk-reserve.ts';
import { writeFileDurably } from './durable-file.ts';
import { prepareFile } from './lmdb-file.ts';
import { open, type RootDatabase, type RootDatabaseOptions } from './lmdb-library.ts';
import { openPrivate } from './private-file.ts';

export type LmdbFile = RootDatabase<Buffer, Uint8Array>;

export interface OpenOptions extends RootDatabaseOptions {
  readOnly: boolean;
  mapSize: number;
  /** The reserve that a new file begins with. */
  startPages: number;
  /** Opening for writing commits: tables that are missing are made. Then an old file must have that reserve, too. */
  makesTables?: boolean;
  /** What to throw of a file that is not LMDB's. */
  damaged(reason: string): Error;
}

const pageBytes = 4096;
const metaPages = 2;
/** LMDB opens the data file twice (the second time for synced writes), its table of readers once. */
const opens = 3;
const magic = 0xbeefc0de;
const dataVersion = 2;
const noPage = 0xffffffffffffffffn;
const Flag = { meta: 8, integerKey: 8, noSubFolder: 0x4000 } as const;
/** In a page. */
const Field = {
  number: 0,
  flags: 18,
  magic: 24,
  version: 28,
  mapBytes: 40,
  pageBytes: 48,
  persistentFlags: 52,
  freeRoot: 88,
  root: 136,
  lastPage: 144,
} as const;

/** @throws DiskFull, what `damaged` makes, errors of the file system */
export function openLmdb(file: string, options: OpenOptions): LmdbFile {
  const { startPages, makesTables = false, damaged, ...own } = options;
  const { readOnly, mapSize } = own;
  if (!readOnly) {
    prepareFile(file);
    const isNew = !existsSync(file);
    if (isNew) beginFile(file, startPages, mapSize);
    if (isNew || makesTables) requireReserve(file, startPages);
  }
  checkReadersTable(file, readOnly);
  checkFile(file, readOnly, damaged);
  return open<Buffer, Uint8Array>(file, own);
}

/** An environment without an entry, as LMDB makes it. */
export function emptyFile(mapBytes: number): Buffer {
  const bytes = Buffer.alloc(metaPages * pageBytes);
  for (let index = 0; index < metaPages; index++) {
    const page = bytes.subarray(index * pageBytes, (index + 1) * pageBytes);
    page.writeBigUInt64LE(BigInt(index), Field.number);
    page.writeUInt16LE(Flag.meta, Field.flags);
    page.writeUInt32LE(magic, Field.magic);
    page.writeUInt32LE(dataVersion, Field.version);
    page.writeBigUInt64LE(BigInt(mapBytes), Field.mapBytes);
    page.writeUInt32LE(pageBytes, Field.pageBytes);
    page.writeUInt16LE(Flag.noSubFolder | Flag.integerKey, Field.persistentFlags);
    page.writeBigUInt64LE(noPage, Field.freeRoot);
    page.writeBigUInt64LE(noPage, Field.root);
    page.writeBigUInt64LE(BigInt(metaPages - 1), Field.lastPage);
  }
  return bytes;
}

function beginFile(file: string, startPages: number, mapBytes: number): void {
  requireRoom(file, (metaPages + startPages) * pageBytes);
  try {
    writeFileDurably(file, emptyFile(mapBytes));
  } catch (error) {
    throw isDiskFull(error) ? diskFull(file, metaPages * pageBytes, error) : error;
  }
}

function requireReserve(file: string, startPages: number): void {
  const reserve = new DiskReserve(file);
  try {
    reserve.require(reserve.usedPages() + startPages);
  } finally {
    reserve.close();
  }
}

/** Read-only, LMDB bears a file system where nothing can be written; there is nothing to reserve then. */
function checkReadersTable(file: string, readOnly: boolean): void {
  const table = `${file}-lock`;
  try {
    reserveLockFile(file);
    accessSync(table, constants.R_OK | constants.W_OK);
  } catch (error) {
    if (!readOnly || (error as NodeJS.ErrnoException).code !== 'EROFS') throw error;
  }
}

function checkFile(file: string, readOnly: boolean, damaged: OpenOptions['damaged']): void {
  const descriptors: number[] = [];
  try {
    while (descriptors.length < opens) descriptors.push(openPrivate(file, readOnly ? 'read' : 'write'));
    const [descriptor] = descriptors;
    const page = Buffer.alloc(pageBytes);
    let size = pageBytes;
    for (let index = 0; index < metaPages; index++) {
      const count = readSync(descriptor!, page, 0, pageBytes, index * size);
      const isMeta =
        count === pageBytes &&
        (page.readUInt16LE(Field.flags) & Flag.meta) !== 0 &&
        page.readUInt32LE(Field.magic) === magic &&
        page.readUInt32LE(Field.version) === dataVersion;
      if (!isMeta) throw damaged('its first pages are not those of LMDB');
      size = page.readUInt32LE(Field.pageBytes);
    }
  } finally {
    for (const descriptor of descriptors) closeSync(descriptor);
  }
}
