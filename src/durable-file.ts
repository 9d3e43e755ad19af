// Small files that survive power loss whole: written beside, synced, renamed over, and the folder synced.
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Make the file's content survive power loss. */
export function syncFile(file: string): void {
  sync(file);
}

/** Make the folder's own entries (created, renamed, removed files) survive power loss. */
export function syncFolder(folder: string): void {
  sync(folder);
}

function sync(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Replace the file: afterwards, and after any crash meanwhile, it holds the old content or the new one, whole. */
export function writeFileDurably(file: string, content: string | Buffer): void {
  const beside = `${file}.new`;
  const descriptor = openSync(beside, 'w', 0o600);
  try {
    writeFileSync(descriptor, content);
    fsyncSync(descriptor);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  } finally {
    closeSync(descriptor);
  }
  renameSync(beside, file);
  syncFolder(dirname(file));
}
