// Small files that survive power loss whole: written beside, synced, renamed over, and the folder synced.

import { dirname } from 'node:path';
import { closeSync, fsyncSync, renameSync, rmSync, writeFileSync } from './disk.ts';
import { openFolder, openPrivate, remakePrivate } from './private-file.ts';

/** Make the file's content survive power loss. */
export function syncFile(file: string): void {
  sync(openPrivate(file, 'read'));
}

/** Make the folder's own entries (created, renamed, removed files) survive power loss. */
export function syncFolder(folder: string): void {
  sync(openFolder(folder));
}

function sync(descriptor: number): void {
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Replace the file: afterwards, and after any crash meanwhile, it holds the old content or the new one, whole.
 * Files under one name have one writer at a time (the owner of the data directory), so that the draft needs no name of its own.
 */
export function writeFileDurably(file: string, content: string | Buffer): void {
  const beside = `${file}.new`;
  const descriptor = remakePrivate(beside);
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
