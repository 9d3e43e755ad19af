// The marker: a small file that stands while nobody writes the store, and says which file ended in order. It is removed
// before the store is opened for writing, and made after it is closed.
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { syncFolder } from '../../durable-file.ts';
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

function describe(folder: string): string | undefined {
  const stats = statSync(dataFileOf(folder), { throwIfNoEntry: false });
  return stats && `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
}
