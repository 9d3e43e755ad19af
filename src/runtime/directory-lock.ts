// The lock by which one process holds a data directory: a lock of the open file description (`F_OFD_SETLK`; `flock` on
// macOS), which the kernel releases with the process, and which no other open or close of the same file touches. A POSIX
// lock, such as SQLite's, is lost as soon as anything in the process closes a copy of the file: `cpSync` of the directory
// is enough.
//
// - It belongs to the file, so that processes in other containers that share the volume meet it, too. It conflicts with
//   the SQLite lock of releases before this one, in both directions.
// - It lies on two files, `lock` and `trunkline.json`: a user who removes the first, as one does with what looks left over from
//   a process that has died, lets no second owner in.
// - It is verified: a second description of the same file must be refused. A file system on which locks do nothing is one
//   on which a data directory cannot be kept.
// - Where the native addon has no build for the platform (it has them for Linux and macOS on x64 and arm64), an SQLite
//   transaction stands in: a lock all the same, but one that a copy made by the same process gives up.

import { createRequire } from 'node:module';
import type { DatabaseSync } from 'node:sqlite';
import { accessSync, closeSync, constants, fstatSync, statSync } from '../base/disk.ts';
import { TrunklineError } from '../base/errors.ts';
import { openPrivate, touchPrivate } from '../base/private-file.ts';

const SQLITE_BUSY = 5;

type TryLock = (descriptor: number) => boolean;

const tryLock = loadAddon();

function loadAddon(): TryLock | undefined {
  try {
    return (createRequire(import.meta.url)('fs-native-extensions') as { tryLock: TryLock }).tryLock;
  } catch {
    return undefined;
  }
}

export class DirectoryLock {
  /** Give the lock back. Idempotent; the kernel does the same when the process ends, however it ends. */
  release: () => void;

  private constructor(release: () => void) {
    this.release = () => {
      this.release = () => {};
      release();
    };
  }

  /**
   * Take the lock on `file`, which is made where it is missing.
   * @throws DataDirInUse, DataDirNotWritable
   */
  static take(dataDir: string, file: string): DirectoryLock {
    return DirectoryLock.by(dataDir, () => (tryLock ? lockDescription(file, tryLock) : lockBySqlite(file)));
  }

  /** The same for a file with content of its own, beside the first one. */
  static takeContent(dataDir: string, file: string): DirectoryLock {
    return DirectoryLock.by(dataDir, () => (tryLock ? lockDescription(file, tryLock) : () => {}));
  }

  private static by(dataDir: string, lock: () => (() => void) | undefined): DirectoryLock {
    try {
      const release = lock();
      if (release === undefined) throw new TrunklineError('DataDirInUse', { dataDir });
      return new DirectoryLock(release);
    } catch (error) {
      if (error instanceof TrunklineError) throw error;
      const cause = `its lock cannot be taken: ${error instanceof Error ? error.message : String(error)}`;
      throw new TrunklineError('DataDirNotWritable', { dataDir, cause }, { cause: error });
    }
  }
}

/** How to give it back; undefined if another owner has it. */
function lockDescription(file: string, tryLock: TryLock): (() => void) | undefined {
  const descriptor = openForLocking(file);
  try {
    if (!tryLock(descriptor)) {
      closeSync(descriptor);
      return undefined;
    }
    // Another owner may have put another file in its place between the two calls.
    if (fstatSync(descriptor).ino !== statSync(file).ino) throw new Error(`${file} was replaced meanwhile`);
    verify(file, tryLock);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  return () => closeSync(descriptor);
}

function verify(file: string, tryLock: TryLock): void {
  const second = openForLocking(file);
  try {
    if (tryLock(second)) throw new Error(`the file system grants an exclusive lock on ${file} twice`);
  } finally {
    closeSync(second);
  }
}

/** For writing: the kernel gives an exclusive lock on nothing less. */
const openForLocking = (file: string): number => openPrivate(file, 'openOrMake');

/** An exclusive transaction that is never finished. SQLite opens a file that it may not write, and then locks nothing. */
function lockBySqlite(file: string): (() => void) | undefined {
  touchPrivate(file); // SQLite would make it readable for all users, and who can read it can hold it
  accessSync(file, constants.W_OK);
  const sqlite = createRequire(import.meta.url)('node:sqlite') as { DatabaseSync: typeof DatabaseSync };
  const database = new sqlite.DatabaseSync(file, { timeout: 0 });
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    return () => database.close();
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return undefined;
    throw error;
  }
}
