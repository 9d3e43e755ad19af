// Files and folders of ours: made for the user of the service alone (0600, 0700), whatever the umask is, and never reached
// through a symbolic link, which another user may have put in their place. Any thread.
//
// `test/private-file.test.ts` holds that src makes and opens files in no other way.

import { createHash } from 'node:crypto';
import { dirname } from 'node:path';
import {
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdir,
  mkdirSync,
  open,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
} from './disk.ts';
import { TrunklineError } from './errors.ts';

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

const { O_RDONLY, O_RDWR, O_WRONLY, O_CREAT, O_EXCL, O_APPEND } = constants;
/** 0 where the platform lacks them. Without the second, opening a pipe would wait for its other end. */
const directly: number = (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
type Opening = 'read' | 'write' | 'openOrMake' | 'make' | 'append';

const flags: Readonly<Record<Opening, number>> = {
  read: O_RDONLY | directly,
  write: O_RDWR | directly,
  openOrMake: O_RDWR | O_CREAT | directly,
  make: O_WRONLY | O_CREAT | O_EXCL | directly,
  append: O_WRONLY | O_CREAT | O_APPEND | directly,
};

/**
 * A descriptor of a file of ours. `write`: to read and write one that is there; `make`: only one that is not there yet.
 * @throws DataDirUnsafe: a symbolic link stands there; errors of the file system
 */
export function openPrivate(file: string, how: Opening): number {
  try {
    return openSync(file, flags[how], FILE_MODE);
  } catch (error) {
    throw explained(file, error);
  }
}

/** A descriptor of a folder, to sync it. The folder itself was checked when it was made or found. */
export const openFolder = (folder: string): number => openSync(folder, O_RDONLY | (constants.O_DIRECTORY ?? 0));

/** A descriptor of a new file; one that a crash has left under that name, or that another user has put there, is removed. */
export function remakePrivate(file: string): number {
  try {
    return openPrivate(file, 'make');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  rmSync(file, { force: true });
  return openPrivate(file, 'make');
}

/** A small file that need not survive a crash whole. */
export function writePrivate(file: string, content: string): void {
  const descriptor = remakePrivate(file);
  try {
    writeFileSync(descriptor, content);
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

/** A file that only has to be there. */
export function touchPrivate(file: string): void {
  closeSync(openPrivate(file, 'openOrMake'));
}

/** At the end of a file, which is made where it is missing. */
export async function appendPrivate(file: string, text: string): Promise<void> {
  const handle = await open(file, flags.append, FILE_MODE).catch((error: unknown) => {
    throw explained(file, error);
  });
  try {
    await handle.writeFile(text);
  } finally {
    await handle.close();
  }
}

/**
 * A folder with the parents that are missing. Node's own recursive mkdir never returns where the kernel makes no folders, as
 * below /proc. `made`: called for each that was not there.
 * @throws DataDirUnsafe: another user's symbolic link stands there; errors of the file system
 */
export function makePrivateFolder(path: string, made: (folder: string) => void = () => {}): void {
  try {
    mkdirSync(path, { mode: FOLDER_MODE });
    made(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && statSync(path).isDirectory()) return checkLink(path);
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    makePrivateFolder(dirname(path), made);
    mkdirSync(path, { mode: FOLDER_MODE });
    made(path);
  }
}

/** A name of the user's as a part of a file's name: as it is, if nothing in it could lead elsewhere; else its hash. */
export function nameInFile(name: string): string {
  return /^[\w-][\w.-]{0,99}$/.test(name) ? name : createHash('sha256').update(name).digest('hex');
}

/** Only the folder itself, without blocking the thread. */
export async function makePrivateFolderLater(path: string, withParents: boolean): Promise<void> {
  await mkdir(path, { recursive: withParents, mode: FOLDER_MODE });
}

/** Whether a user may decide what is in a folder of ours: this process's own, or root. */
export const isTrusted = (uid: number): boolean => uid === 0 || uid === (process.geteuid?.() ?? uid);

/** A folder may be a link to another disk; it is followed only if one of us has made it. @throws DataDirUnsafe */
export function checkLink(path: string): void {
  const { uid } = lstatSync(path);
  if (!lstatSync(path).isSymbolicLink() || isTrusted(uid)) return;
  throw new TrunklineError('DataDirUnsafe', {
    path,
    reason: `is a symbolic link that user ${uid} has made; remove it`,
  });
}

function explained(file: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ELOOP' && !(code === 'EMLINK' && existsSync(file))) return error;
  const reason = 'is a symbolic link, and must be a file of its own; remove it, or put the file itself there';
  return new TrunklineError('DataDirUnsafe', { path: file, reason }, { cause: error });
}
