// Before the handlers' environment is opened: unless it is known to be as it was when it was closed in order, it is
// examined first.
//
// The marker stands while no writer has it open, and says which file ended in order: removed before the environment is opened for
// writing, made when it is closed.

import { dirname, join } from 'node:path';
import { rmSync, statSync } from '../../../base/disk.ts';
import { syncFolder } from '../../../base/durable-file.ts';
import { TrunklineError } from '../../../base/errors.ts';
import { examine } from '../../../base/examine.ts';
import { readText } from '../../../base/foreign-file.ts';
import { prepareFile } from '../../../base/lmdb-file.ts';
import { ownFile } from '../../../base/own-file.ts';
import { makePrivateFolder, writePrivate } from '../../../base/private-file.ts';
import { dataFileOf } from './environment.ts';

const markerOf = (folder: string): string => join(folder, 'clean');

/** Afterwards its folder is there. @throws StoreDamaged, DiskFull */
export async function openingIsSafe(folder: string): Promise<void> {
  makePrivateFolder(folder, () => syncFolder(dirname(folder)));
  prepareFile(dataFileOf(folder));
  const file = describe(folder);
  if (file === undefined || isMarked(folder, file)) return;
  const failed = await examine(ownFile('./examination', import.meta.url), folder);
  if (!failed) return;
  const found = failed.said === '' ? `examining it ended with ${failed.how}` : failed.said;
  const reason = `handlers/handlers.mdb cannot be read (${found}); put a copy of the whole data directory back, or move the handlers folder aside: then subscriptions begin again`;
  throw new TrunklineError('StoreDamaged', { dataDir: dirname(folder), reason });
}

export function markInUse(folder: string): void {
  rmSync(markerOf(folder), { force: true, recursive: true });
  syncFolder(folder);
}

/** Where there is no room for it, the next start examines: that is all. */
export function markClean(folder: string): void {
  const file = describe(folder);
  if (file === undefined) return;
  try {
    writePrivate(markerOf(folder), file);
    syncFolder(folder);
  } catch {
    rmSync(markerOf(folder), { force: true, recursive: true });
  }
}

function isMarked(folder: string, file: string): boolean {
  try {
    return readText(markerOf(folder)) === file;
  } catch {
    return false;
  }
}

function describe(folder: string): string | undefined {
  const stats = statSync(dataFileOf(folder), { throwIfNoEntry: false });
  return stats && `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
}
