// Who else can write in a folder whose files are believed: a user who can write there can put links, or other files, in their place.
//
// | the folder | |
// |---|---|
// | every user may write there, a group that this process is not of, or whom an access list names | refused |
// | belongs to another user than this process's or root, who lets us in neither as root nor by a group of ours | refused |
// | belongs to another user, who does | warning |
// | a group of ours may write there: with the setgid bit (a Kubernetes volume with fsGroup), or the user's own group | accepted |
// | … another group of ours | warning |
// | others can put another folder in its place, or in that of what a link in it leads to (folder-writers.ts) | warning |
// | the file system keeps no modes (CIFS, 9p) | warning: its mount options decide |
//
// "This process's user" is the one that owns what the process makes there: NFS with root squash makes another one of root.
// Used for data directories (directory-access.ts) and for archives. Any thread.

import { join } from 'node:path';
import { closeSync, fstatSync, rmSync } from './disk.ts';
import { TrunklineError } from './errors.ts';
import { accessOf, replacers, type Self, selfOf } from './folder-writers.ts';
import { openPrivate } from './private-file.ts';
import { randomUUID } from './random.ts';

export const Mode = {
  setgid: 0o2000,
  group: 0o070,
  groupWrite: 0o020,
  others: 0o007,
  othersWrite: 0o002,
} as const;

const probePrefix = '.probe-';
/** A file of {@link probeFolder}, by its name. */
export const isProbe = (name: string): boolean => name.startsWith(probePrefix);
export const keepsNoModes =
  'its file system keeps no modes: see that its mount options (uid, dir_mode, file_mode) keep other users out';

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

/**
 * Warnings of a folder that is not a data directory, and whose files are believed all the same (archives). On a read-only file
 * system, or where only others may write, this process's own user counts.
 * @throws DataDirUnsafe
 */
export function checkSharedFolder(path: string): string[] {
  const self = probed(path);
  if (self === undefined) return [];
  if (!self.keepsModes) return [keepsNoModes];
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

/** Warnings of one folder, each with what to do. @throws DataDirUnsafe */
export function checkFolder(path: string, self: Self): string[] {
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

export const unsafe = (path: string, reason: string): TrunklineError =>
  new TrunklineError('DataDirUnsafe', { path, reason });
