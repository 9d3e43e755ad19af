// The marker: a small file that stands while no writer has the store open, and says what the data file was like when it was
// closed in order. It is removed before the store is opened for writing, and made after it is closed.
//
// LMDB has no checksums, and a changed byte in a key would make an aggregate vanish in silence: so the marker holds one of
// the whole file. A file beyond the limit is only recognised, by its inode, size and time.

import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { closeSync, existsSync, readSync, rmSync, statSync } from '../../../base/disk.ts';
import { syncFolder } from '../../../base/durable-file.ts';
import { TrunklineError } from '../../../base/errors.ts';
import { readText } from '../../../base/foreign-file.ts';
import { openPrivate, writePrivate } from '../../../base/private-file.ts';
import { dataFileOf } from './environment.ts';

const summedBytesLimit = 1 << 30; // read and summed in half a second
const pieceBytes = 4 << 20;

const markerOf = (folder: string): string => join(folder, 'clean');

/**
 * Whether there is a data file, and it is not known to have ended in order.
 * @throws StoreDamaged if it ended in order, and has been changed since
 */
export function needsProbe(folder: string): boolean {
  if (!existsSync(dataFileOf(folder))) return false;
  const then = markIn(folder);
  if (then === undefined) return true; // what the file sums up to does not matter: half a second for each GiB, after a kill
  if (then === describe(folder)) return false;
  if (!then.startsWith('crc32 ')) return true;
  const reason = 'its bytes are not those that it was closed with';
  throw new TrunklineError('StoreDamaged', { dataDir: dirname(folder), reason });
}

function markIn(folder: string): string | undefined {
  try {
    return readText(markerOf(folder));
  } catch {
    return undefined;
  }
}

export function markInUse(folder: string): void {
  rmSync(markerOf(folder), { force: true, recursive: true });
  syncFolder(folder);
}

/** Where there is no room for it, the next start probes: that is all. */
export function markClean(folder: string): void {
  try {
    writePrivate(markerOf(folder), describe(folder)!);
    syncFolder(folder);
  } catch {
    rmSync(markerOf(folder), { force: true, recursive: true });
  }
}

function describe(folder: string): string | undefined {
  const file = dataFileOf(folder);
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  const { ino, size, mtimeMs } = stats;
  return size > summedBytesLimit ? `${ino} ${size} ${mtimeMs}` : `crc32 ${sumOf(file)} ${size}`;
}

function sumOf(file: string): number {
  const descriptor = openPrivate(file, 'read');
  try {
    const piece = Buffer.allocUnsafe(pieceBytes);
    let sum = 0;
    for (let count = readSync(descriptor, piece); count > 0; count = readSync(descriptor, piece)) {
      sum = crc32(piece.subarray(0, count), sum);
    }
    return sum;
  } finally {
    closeSync(descriptor);
  }
}
