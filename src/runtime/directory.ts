// The data directory: made, checked and held by one runtime at a time.
//
//   trunkline.json   which format the directory has, and which log and store have begun in it
//   lock             locked by the kernel for as long as this process lives: no pid file goes stale; see directory-lock.ts
//   log/  store/     what the stages keep, each in its own way; handlers/ as well, once there are any
//
// Invariant: what has begun here is remembered here. A log that is missing afterwards is an error, and no new beginning:
// positions would be given out twice, and those who follow the old log would skip the new one in silence. A store that is
// missing is made again from a log that reaches back to its beginning, and is an error where the log does not.

import { dirname, join, relative, resolve } from 'node:path';
import { accessSync, constants, existsSync } from '../base/disk.ts';
import { diskFull, isDiskFull } from '../base/disk-reserve.ts';
import { syncFolder, writeFileDurably } from '../base/durable-file.ts';
import { TrunklineError } from '../base/errors.ts';
import { probeFolder } from '../base/folder-access.ts';
import { parseFields, readText, refused } from '../base/foreign-file.ts';
import { pathFault } from '../base/path-fault.ts';
import { makePrivateFolder } from '../base/private-file.ts';
import { checkAccess, removeOldProbes } from './directory-access.ts';
import { DirectoryLock } from './directory-lock.ts';

const DIRECTORY_FORMAT = 1;
const contentFile = (dataDir: string): string => join(resolve(dataDir), 'trunkline.json');
/** What a small file takes. */
const fileBytes = 4096;

/** What has begun in the directory. */
export interface Origin {
  readonly logId: string;
  /** What `store/` holds. `memory`, a word of files since 0.1.0: the store is elsewhere, and here is its local cache. */
  readonly holds: 'events' | 'memory';
}

export interface DataDirectory {
  readonly path: string;
  readonly logFolder: string;
  readonly storeFolder: string;
  /** Made when it is first needed. */
  readonly handlersFolder: string;
  /** undefined: nothing has begun yet. */
  readonly origin: Origin | undefined;
  /** Log and store have begun, durably. */
  remember(origin: Origin): void;
  /** Let another runtime have it. Idempotent; the kernel does the same when the process ends, however it ends. */
  release(): void;
}

/** What has begun in a data directory, for those who look at one and make none. @throws DataDirUnreadable, DataDirNewerFormat, FileRefused */
export function readOrigin(dataDir: string): Origin | undefined {
  checkIsDirectory(dataDir);
  return readContent(dataDir, contentFile(dataDir));
}

/**
 * Whether there is a data directory, for those who look at one and make none. One that this user may not open is another thing
 * than a wrong one.
 * @throws DataDirUnreadable, FileRefused
 */
export function checkIsDirectory(dataDir: string): void {
  try {
    accessSync(contentFile(dataDir), constants.R_OK);
  } catch (error) {
    if (!isMissing(error))
      throw refused(dataDir, `cannot be opened: ${pathFault(error) ?? messageOf(error)}`, {}, error);
    const reason = existsSync(dataDir) ? 'there is no trunkline.json in it' : 'it does not exist';
    throw new TrunklineError('DataDirUnreadable', { dataDir, reason }, { cause: error });
  }
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

/**
 * Create the directory where it is missing (mode 0700) and take it. Throws `DataDirInUse`, `DataDirUnsafe`,
 * `DataDirNotWritable` or `DataDirNewerFormat`; then nothing is held and nothing in it has changed, but that others are kept
 * out of what is ours. `warn`: what is wrong with who may write there, and what to do.
 */
export function openDirectory(dataDir: string, warn: (reason: string) => void = () => {}): DataDirectory {
  const path = resolve(dataDir);
  const logFolder = join(path, 'log');
  const storeFolder = join(path, 'store');
  writable(dataDir, () => {
    makeFolder(path);
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    const self = probeFolder(path);
    if (self !== undefined) for (const reason of checkAccess(path, self)) warn(reason);
  });
  const lock = DirectoryLock.take(dataDir, join(path, 'lock'));
  const file = contentFile(dataDir);
  let content: DirectoryLock | undefined;
  const release = (): void => {
    content?.release();
    lock.release();
  };
  try {
    const origin = readContent(dataDir, file);
    content = DirectoryLock.takeContent(dataDir, file);
    writable(dataDir, () => {
      removeOldProbes(path);
      makeFolder(logFolder);
      makeFolder(storeFolder);
      syncFolder(path);
    });
    return {
      ...{ path, logFolder, storeFolder, handlersFolder: join(path, 'handlers'), origin, release },
      remember(began) {
        if (began.logId === origin?.logId && began.holds === origin.holds) return;
        writable(dataDir, () => writeContent(file, began));
        const replaced = content;
        content = DirectoryLock.takeContent(dataDir, file);
        replaced?.release();
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}

/** Throws if the log that has begun here is missing; `file`: is there as soon as it has. */
export function checkOrigin({ path, origin }: DataDirectory, file: string): void {
  if (origin === undefined || existsSync(file)) return;
  const remedy = 'put log and store back from a copy of the whole directory, or begin in another directory';
  const reason = `${relative(path, file)} is missing, and log ${origin.logId} has begun here; ${remedy}`;
  throw new TrunklineError('LogDamaged', { dataDir: path, reason });
}

/** Throws if this is not the log that has begun here. */
export function checkLogOrigin({ path, origin }: DataDirectory, logId: string): void {
  if (origin === undefined || origin.logId === logId) return;
  const reason = `it is log ${logId}, and in this directory log ${origin.logId} has begun`;
  throw new TrunklineError('LogDamaged', { dataDir: path, reason });
}

/** Throws if the directory is not of our format; makes the file where it is missing. */
function readContent(dataDir: string, file: string): Origin | undefined {
  const text = writable(dataDir, () => readText(file));
  if (text === undefined) {
    writable(dataDir, () => writeContent(file));
    return undefined;
  }
  const { format: found, logId, holds } = parseFields(text);
  if (typeof found === 'number' && found > DIRECTORY_FORMAT) {
    throw new TrunklineError('DataDirNewerFormat', { dataDir, found, supported: DIRECTORY_FORMAT });
  }
  const isOrigin = typeof logId === 'string' && (holds === 'events' || holds === 'memory');
  if (found !== DIRECTORY_FORMAT || !(isOrigin || logId === undefined)) {
    throw new TrunklineError('DataDirUnreadable', { dataDir, reason: 'trunkline.json cannot be understood' });
  }
  return isOrigin ? { logId, holds } : undefined;
}

const writeContent = (file: string, origin?: Origin): void =>
  writeFileDurably(file, `${JSON.stringify({ format: DIRECTORY_FORMAT, ...origin })}\n`);

/** With its parents, each entry durable. */
const makeFolder = (path: string): void => makePrivateFolder(path, syncParent);

/** A parent that may be written and not be read cannot be synced. */
function syncParent(path: string): void {
  try {
    syncFolder(dirname(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
  }
}

function writable<T>(dataDir: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof TrunklineError) throw error;
    if (isDiskFull(error)) throw diskFull(dataDir, fileBytes, error);
    throw new TrunklineError('DataDirNotWritable', { dataDir, cause: messageOf(error) }, { cause: error });
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
