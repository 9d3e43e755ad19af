// Who else can write where a runtime keeps its data. A directory that is there already is held to this before anything in
// it is believed: whoever can write there can move the log away, put links in the place of files, or hold the lock.
//
// | the directory | |
// |---|---|
// | every user may write there, a group that this process is not of, or whom an access list names | refused |
// | belongs to another user than this process's or root, who lets us in neither as root nor by a group of ours | refused |
// | belongs to another user, who does | warning |
// | a group of ours may write there: with the setgid bit (a Kubernetes volume with fsGroup), or the user's own group | accepted |
// | … another group of ours | warning |
// | others can put another directory in its place, or in that of what a link in it leads to (folder-writers.ts) | warning |
// | the file system keeps no modes (CIFS, 9p) | warning: its mount options decide |
//
// "This process's user" is the one that owns what the process makes there: NFS with root squash makes another one of root.
// What is in it and ours is closed to others (a copy that was put back may have lost its modes), links among it are refused.

import { randomUUID } from 'node:crypto';
import { closeSync, fchmodSync, fstatSync, lstatSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { TrunklineError } from './errors.ts';
import { accessOf, replacers, type Self, selfOf } from './folder-writers.ts';
import { checkLink, openFolder, openPrivate } from './private-file.ts';

const Mode = {
  setgid: 0o2000,
  sticky: 0o1000,
  group: 0o070,
  groupWrite: 0o020,
  others: 0o007,
  othersWrite: 0o002,
} as const;

const probePrefix = '.probe-';
const folders: ReadonlySet<string> = new Set(['log', 'store', 'handlers']);
const files = /^(?:lock|trunkline\.json|log-secret\.json|(?:published|partitions)-.+\.json)$/;

/**
 * Make a file there and remove it: asking for permission is not enough, since root has it on a read-only file system, too.
 * Its name is random: a process in a container has the same number each time, and so has one in another container.
 * undefined: this platform knows no owners.
 */
export function probeFolder(path: string): Self | undefined {
  const file = join(path, `${probePrefix}${randomUUID()}`);
  const descriptor = openPrivate(file, 'make');
  try {
    const { uid, mode } = fstatSync(descriptor);
    return selfOf(uid, (mode & (Mode.group | Mode.others)) === 0);
  } finally {
    closeSync(descriptor);
    rmSync(file, { force: true });
  }
}

/** Probes that a kill has left. Only by who holds the directory. */
export function removeOldProbes(path: string): void {
  for (const name of readdirSync(path)) if (name.startsWith(probePrefix)) rmSync(join(path, name), { force: true });
}

/** Warnings, each with what to do. @throws DataDirUnsafe */
export function checkAccess(path: string, self: Self): string[] {
  if (!self.keepsModes) {
    return [
      'its file system keeps no modes: see that its mount options (uid, dir_mode, file_mode) keep other users out',
    ];
  }
  const seen = new Set<string>();
  return [...checkFolder(path, self), ...replacers(path, self, seen), ...checkContent(path, self, seen)];
}

/**
 * Warnings of a folder that is not a data directory, and whose files are believed all the same (archives). On a read-only file
 * system, or where only others may write, this process's own user counts.
 * @throws DataDirUnsafe
 */
export function checkSharedFolder(path: string): string[] {
  const self = probed(path);
  if (self === undefined) return [];
  if (!self.keepsModes) return checkAccess(path, self);
  return [...checkFolder(path, self), ...replacers(path, self)];
}

function probed(path: string): Self | undefined {
  try {
    return probeFolder(path);
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
  return selfOf(undefined, true);
}

function checkFolder(path: string, self: Self): string[] {
  const { uid, gid, mode, named } = accessOf(path, self);
  const warnings: string[] = [];
  const shown = `mode ${(mode & 0o7777).toString(8)}`;
  if (mode & Mode.othersWrite) {
    const below = `name a folder below it (${join(path, 'trunkline')}), which is then made for this service alone`;
    throw unsafe(path, `may be written by every user (${shown}): take that away (chmod o-w), or ${below}`);
  }
  const writers = named.filter(({ mayWrite }) => mayWrite).map(({ who }) => who);
  if (writers.length > 0) throw unsafe(path, `may be written by ${writers.join(', ')}: setfacl -b`);
  const isShared = (mode & Mode.groupWrite) !== 0;
  if (isShared && !self.groups.has(gid)) {
    const reason = `may be written by group ${gid} (${shown}), which this process is not of: chmod g-w, or let it be of that group (Kubernetes: fsGroup)`;
    throw unsafe(path, reason);
  }
  if (isShared && !(mode & Mode.setgid) && !self.ownGroups.has(gid)) {
    warnings.push(`others of group ${gid} may write there (${shown}): chmod g-w if they need not`);
  }
  if (uid !== self.uid && uid !== 0) {
    const reason = `belongs to user ${uid}, and this process is user ${self.uid}: run it as that user, or chown the directory`;
    if (!self.isRoot && !isShared) throw unsafe(path, reason);
    warnings.push(`it ${reason}`);
  }
  return warnings;
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

const unsafe = (path: string, reason: string): TrunklineError => new TrunklineError('DataDirUnsafe', { path, reason });
