// The marker: a small file that stands while nobody writes the store, and says which file ended in order. It is removed
// before the store is opened for writing, and made after it is closed.
import { closeSync, fsyncSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dataFileOf } from './environment.ts';

const markerOf = (folder: string): string => join(folder, 'clean');

/** Whether there is a data file, and it is not known to have ended in order. */
export function needsProbe(folder: string): boolean {
  const now = describe(folder);
  if (now === undefined) return false;
  try {
    return readFileSync(markerOf(folder), 'utf8') !== now;
  } catch {
    return true;
  }
}

export function markInUse(folder: string): void {
  rmSync(markerOf(folder), { force: true });
  syncFolder(folder);
}

export function markClean(folder: string): void {
  writeFileSync(markerOf(folder), describe(folder)!);
  syncFolder(folder);
}

/** The folder's own entries (created and removed files) survive power loss once it is synced. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function describe(folder: string): string | undefined {
  const stats = statSync(dataFileOf(folder), { throwIfNoEntry: false });
  return stats && `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
}
