// The data directory: made, checked and held by one runtime at a time.
//
//   trunkline.json   which format the directory has
//   lock             an SQLite file, locked by the kernel for as long as this process lives: no pid file goes stale
//   log/  store/     what the stages keep, each in its own way; handlers/ as well, once there are any
import { accessSync, constants, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { writeFileDurably } from './durable-file.ts';
import { TrunklineError } from './errors.ts';

const DIRECTORY_FORMAT = 1;
const SQLITE_BUSY = 5;

export interface DataDirectory {
  readonly path: string;
  readonly logFolder: string;
  readonly storeFolder: string;
  /** Made when it is first needed. */
  readonly handlersFolder: string;
  /** Let another runtime have it. Idempotent; the kernel does the same when the process ends, however it ends. */
  release(): void;
}

/**
 * Create the directory where it is missing (mode 0700) and take it. Throws `DataDirInUse`, `DataDirNotWritable` or
 * `DataDirNewerFormat`; then nothing is held and nothing in it has changed.
 */
export function openDirectory(dataDir: string): DataDirectory {
  const path = resolve(dataDir);
  const logFolder = join(path, 'log');
  const storeFolder = join(path, 'store');
  writable(dataDir, () => {
    makeFolder(path);
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    // Asking for permission is not enough: root has it on a read-only file system too.
    const probe = join(path, `.probe-${process.pid}`);
    writeFileSync(probe, '');
    rmSync(probe);
  });
  const lock = takeLock(dataDir, join(path, 'lock'));
  try {
    checkFormat(dataDir, join(path, 'trunkline.json'));
    writable(dataDir, () => {
      makeFolder(logFolder);
      makeFolder(storeFolder);
    });
  } catch (error) {
    lock.close();
    throw error;
  }
  return {
    path,
    logFolder,
    storeFolder,
    handlersFolder: join(path, 'handlers'),
    release() {
      if (lock.isOpen) lock.close();
    },
  };
}

/** An exclusive transaction that is never finished: a lock that also keeps out this process's other threads. */
function takeLock(dataDir: string, file: string): DatabaseSync {
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(file, { timeout: 0 });
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock?.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) throw new TrunklineError('DataDirInUse', { dataDir });
    throw new TrunklineError('DataDirNotWritable', { dataDir, cause: messageOf(error) }, { cause: error });
  }
}

function checkFormat(dataDir: string, file: string): void {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new TrunklineError('DataDirNotWritable', { dataDir, cause: messageOf(error) }, { cause: error });
    }
    writable(dataDir, () => writeFileDurably(file, `${JSON.stringify({ format: DIRECTORY_FORMAT })}\n`));
    return;
  }
  let found: unknown;
  try {
    found = (JSON.parse(text) as { format?: unknown } | null)?.format;
  } catch {
    found = undefined;
  }
  if (typeof found === 'number' && found > DIRECTORY_FORMAT) {
    throw new TrunklineError('DataDirNewerFormat', { dataDir, found, supported: DIRECTORY_FORMAT });
  }
  if (found !== DIRECTORY_FORMAT) {
    throw new TrunklineError('DataDirUnreadable', { dataDir, reason: 'trunkline.json cannot be understood' });
  }
}

/** With its parents. Node's own recursive mkdir never returns where the kernel makes no folders, as below /proc. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && statSync(path).isDirectory()) return;
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    makeFolder(dirname(path));
    mkdirSync(path, { mode: 0o700 });
  }
}

function writable<T>(dataDir: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new TrunklineError('DataDirNotWritable', { dataDir, cause: messageOf(error) }, { cause: error });
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
