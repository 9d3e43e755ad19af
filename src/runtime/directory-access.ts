// Who else can write where a runtime keeps its data. A directory that is there already is held to this before anything in
// it is believed: a user who can write there can move the log away, put links in the place of files, or hold the lock. The
// directory itself is judged as every folder is that we believe (folder-access.ts).
//
// What is in it and ours is closed to others (a copy that was put back may have lost its modes), links among it are refused.

import { join } from 'node:path';
import { closeSync, fchmodSync, lstatSync, readdirSync, rmSync, statSync } from '../base/disk.ts';
import { checkFolder, isProbe, keepsNoModes, Mode, unsafe } from '../base/folder-access.ts';
import { accessOf, replacers, type Self } from '../base/folder-writers.ts';
import { checkLink, openFolder, openPrivate } from '../base/private-file.ts';

const folders: ReadonlySet<string> = new Set(['log', 'store', 'handlers']);
const files = /^(?:lock|trunkline\.json|log-secret\.json|(?:published|partitions)-.+\.json)$/;

/** Probes that a kill has left. Only by who holds the directory. */
export function removeOldProbes(path: string): void {
  for (const name of readdirSync(path)) if (isProbe(name)) rmSync(join(path, name), { force: true });
}

/** Warnings, each with what to do. @throws DataDirUnsafe */
export function checkAccess(path: string, self: Self): string[] {
  if (!self.keepsModes) return [keepsNoModes];
  const seen = new Set<string>();
  return [...checkFolder(path, self), ...replacers(path, self, seen), ...checkContent(path, self, seen)];
}

/** What is ours there is closed to others. @throws DataDirUnsafe */
function checkContent(path: string, self: Self, seen: Set<string>): string[] {
  const warnings: string[] = [];
  for (const name of readdirSync(path)) {
    const isFolder = folders.has(name);
    if (!isFolder && !files.test(name)) continue;
    const entry = join(path, name);
    if (isFolder) {
      checkLink(entry);
      warnings.push(...replacers(entry, self, seen).map((reason) => `${name}: ${reason}`));
    }
    if (!isFolder && !lstatSync(entry).isFile())
      throw unsafe(entry, 'is no file of its own (a link, a pipe): remove it');
    const { named } = accessOf(entry, self);
    const { uid, gid, mode } = statSync(entry);
    const excess = mode & (Mode.others | (self.groups.has(gid) && named.length === 0 ? 0 : Mode.group));
    if (uid === self.uid && excess !== 0) close(entry, isFolder, mode & ~excess);
    else if (uid !== self.uid) warnings.push(...checkFolder(entry, self));
  }
  return warnings;
}

function close(entry: string, isFolder: boolean, mode: number): void {
  const descriptor = isFolder ? openFolder(entry) : openPrivate(entry, 'read');
  try {
    fchmodSync(descriptor, mode & 0o7777);
  } finally {
    closeSync(descriptor);
  }
}
