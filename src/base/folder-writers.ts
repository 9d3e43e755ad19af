// Who, beside this process's user and root, may write into a folder, and who may put another one in its place.
//
// Each user that owns or may write into a folder on the way to one, from `/` down, can put another in its place; where the way
// leads through links, on the way to the link and on that to its target. In a folder with the sticky bit
// (/tmp) only an entry's owner can. This is what OpenSSH asks with StrictModes; as with Debian's, a group does not count that
// is this user's own: the process's group, in which /etc/group and /etc/passwd know no other user (umask 002).
//
// Access lists of POSIX are looked at where the native addon has a build for the platform, on Linux. Elsewhere the mode alone
// is: its group bits are the most that any entry of such a list may, so that one which lets others write shows as a folder
// that its group may write into. Access lists of NFSv4 and macOS do not show.

import { createRequire } from 'node:module';
import { join, resolve, sep } from 'node:path';
import { closeSync, fstatSync, lstatSync, readlinkSync, type Stats, statSync } from './disk.ts';
import { readText } from './foreign-file.ts';
import { isTrusted, openFolder, openPrivate } from './private-file.ts';

/** Who we are, as the file system sees it. */
export interface Self {
  readonly uid: number;
  readonly groups: ReadonlySet<number>;
  /** Those of our groups that no other user is known to be in. */
  readonly ownGroups: ReadonlySet<number>;
  readonly isRoot: boolean;
  readonly keepsModes: boolean;
}

/** Owner and mode, with what an access list says. */
export interface Access {
  readonly uid: number;
  readonly gid: number;
  /** With the group's own right to write, where an access list hides it. */
  readonly mode: number;
  /** Users and groups that an access list names, for reading or writing, but for our own. */
  readonly named: readonly { readonly who: string; readonly mayWrite: boolean }[];
}

const [groupBits, groupWrite, othersWrite, sticky] = [0o070, 0o020, 0o002, 0o1000];
const linksLimit = 40; // as in Linux

/** undefined: this platform knows no owners. `uid`: of what we make there; NFS with root squash makes another one of root. */
export function selfOf(uid: number | undefined, keepsModes: boolean): Self | undefined {
  const { geteuid, getegid, getgroups } = process;
  if (!geteuid || !getegid || !getgroups) return undefined;
  const own = uid ?? geteuid();
  const groups = new Set([getegid(), ...getgroups()]);
  const ownGroups = new Set([getegid(), own].filter((gid) => groups.has(gid) && !hasOthers(gid, own)));
  return { uid: own, groups, ownGroups, isRoot: geteuid() === 0, keepsModes };
}

const isOurs = (uid: number, self: Self): boolean => uid === self.uid || isTrusted(uid);

/** Whether the files of this machine know another user, who is not root, in the group. Directories (LDAP) are not asked. */
function hasOthers(gid: number, uid: number): boolean {
  const users = linesOf('/etc/passwd');
  const ours = new Set(users.filter(([, , id]) => id === '0' || id === String(uid)).map(([name]) => name));
  const first = users.filter(([, , , group]) => group === String(gid)).map(([name]) => name!);
  const listed = linesOf('/etc/group').filter(([, , id]) => id === String(gid));
  const members = listed.flatMap(([, , , names]) => (names ?? '').split(',').filter((name) => name !== ''));
  return [...first, ...members].some((name) => !ours.has(name));
}

function linesOf(file: string): string[][] {
  try {
    return (readText(file) ?? '').split('\n').map((line) => line.split(':'));
  } catch {
    return []; // a link, or too large: the numbers decide
  }
}

/** What is at `path`, links followed. */
export function accessOf(path: string, self: Self): Access {
  const stats = statSync(path);
  const list = (stats.mode & groupBits) === 0 ? undefined : listOf(path, stats);
  if (list === undefined) return { uid: stats.uid, gid: stats.gid, mode: stats.mode, named: [] };
  const mask = list.find(({ tag }) => tag === Tag.mask)?.rights ?? 7;
  const owning = (list.find(({ tag }) => tag === Tag.group)?.rights ?? 0) & mask;
  const named = list
    .filter(
      ({ tag, id }) => (tag === Tag.user && !isOurs(id, self)) || (tag === Tag.namedGroup && !self.ownGroups.has(id)),
    )
    .map(({ tag, rights, id }) => ({
      who: `${tag === Tag.user ? 'user' : 'group'} ${id} (by an access list)`,
      mayWrite: (rights & mask & 2) !== 0,
    }));
  return { uid: stats.uid, gid: stats.gid, mode: (stats.mode & ~groupBits) | (owning << 3), named };
}

const Tag = { user: 0x02, group: 0x04, namedGroup: 0x08, mask: 0x10 } as const;
const getAttribute = loadAddon();

function loadAddon(): ((descriptor: number, name: string) => Buffer | null) | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const addon = createRequire(import.meta.url)('fs-native-extensions') as { getAttrSync: typeof getAttribute };
    return addon.getAttrSync;
  } catch {
    return undefined;
  }
}

/** The access list's entries, as the kernel keeps them; undefined: there is none, or it cannot be read. */
function listOf(path: string, stats: Stats): { tag: number; rights: number; id: number }[] | undefined {
  let descriptor: number | undefined;
  try {
    descriptor = stats.isDirectory() ? openFolder(path) : openPrivate(path, 'read');
    if (fstatSync(descriptor).ino !== stats.ino) return undefined;
    const bytes = getAttribute?.(descriptor, 'system.posix_acl_access') ?? undefined;
    if (bytes === undefined || bytes.length < 4 || bytes.readUInt32LE(0) !== 2) return undefined;
    return Array.from({ length: Math.floor((bytes.length - 4) / 8) }, (_, i) => ({
      tag: bytes.readUInt16LE(4 + i * 8),
      rights: bytes.readUInt16LE(6 + i * 8),
      id: bytes.readUInt32LE(8 + i * 8),
    }));
  } catch {
    return undefined; // no access lists there, or no right to read them: the mode's group bits say the most
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/**
 * Who may put another folder in the place of this one, and where, as warnings with what to do. `seen`: folders of former
 * calls, which are not named again.
 */
export function replacers(path: string, self: Self, seen: Set<string> = new Set()): string[] {
  const found: string[] = [];
  let links = 0;
  const walk = (folder: string, names: readonly string[]): void => {
    let at = folder;
    for (const [index, name] of names.entries()) {
      const entry = join(at, name);
      if (!seen.has(entry)) found.push(...replacersIn(at, entry, self));
      seen.add(entry);
      if (!lstatSync(entry).isSymbolicLink()) {
        at = entry;
        continue;
      }
      if (++links > linksLimit) throw Object.assign(new Error(`ELOOP: ${path}`), { code: 'ELOOP' });
      return walk(sep, [...namesOf(resolve(at, readlinkSync(entry))), ...names.slice(index + 1)]);
    }
  };
  walk(sep, namesOf(resolve(path)));
  return found;
}

const namesOf = (path: string): string[] => path.split(sep).filter((name) => name !== '');

/** Who may remove `entry` from its folder, and put another in its place. */
function replacersIn(folder: string, entry: string, self: Self): string[] {
  const { uid, gid, mode, named } = accessOf(folder, self);
  const may = (who: string, remedy: string): string =>
    `${who} may put another directory in its place, in ${folder}: ${remedy}; harmless where no other user is (a container)`;
  const found = isOurs(uid, self) ? [] : [may(`user ${uid}`, 'chown that')];
  if (mode & sticky) {
    const owner = lstatSync(entry).uid;
    return isOurs(owner, self) ? found : [...found, may(`user ${owner}`, `chown -h ${entry}`)];
  }
  if (mode & othersWrite) return [...found, may('every user', 'chmod o-w that')];
  if (mode & groupWrite && !self.ownGroups.has(gid)) found.push(may(`every user of group ${gid}`, 'chmod g-w that'));
  const writers = named.filter(({ mayWrite }) => mayWrite);
  if (writers.length > 0) found.push(may(writers.map(({ who }) => who).join(', '), 'setfacl -b that'));
  return found;
}
