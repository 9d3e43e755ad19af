// The embedded store's LMDB environment: where it lies, how it is opened, whose it is. Fully synced, no tricks: a commit
// returns when it is on the disk. One thread writes, any thread reads; within a process they share one map.

import { dirname, join } from 'node:path';
import type { Database, DatabaseOptions, RootDatabase } from 'lmdb';
import { TrunklineError } from '../../../base/errors.ts';
import { parseFields } from '../../../base/foreign-file.ts';
import { unawaited } from '../../../base/guarded.ts';
import { fits, number, object, oneOf, optional, text } from '../../../base/json.ts';
import { startPages } from '../../../base/lmdb-file.ts';
import { openLmdb } from '../../../base/lmdb-open.ts';
import { STORE_FORMAT } from './layout.ts';

export type Table = Database<Buffer, Uint8Array>;

export interface Environment {
  readonly folder: string;
  /** undefined: it is new */
  readonly identity: Identity | undefined;
  /** The root table holds the few values that there is one of: identity, checkpoint, indexed. */
  readonly root: RootDatabase<Buffer, Uint8Array>;
  readonly blocks: Table;
  readonly heads: Table;
  readonly snapshots: Table;
  readonly receipts: Table;
  readonly expiries: Table;
  readonly postings: Table;
}

/** Which format it has, and the log whose positions it speaks of. */
interface Identity {
  format: number;
  logId: string;
  /** `memory`, a word of files since 0.1.0: a local cache. Events are elsewhere, here what is needed beside. */
  holds: Holds;
  /** When it was made, milliseconds since 1970. */
  since: number;
}

export type Holds = 'events' | 'memory';

// Address space, not disk: the file grows with what is in it. Bounds the store at 1 TiB.
const mapBytes = 2 ** 40;
// Half the bytes, or a third, for a microsecond an event. No dictionary: the library's own is not ours to keep stable.
const blockCompression = { threshold: 1000, dictionary: Buffer.alloc(0) };
const maxReaders = 256; // threads that read at the same time, of all processes

export const identityKey: Buffer = Buffer.from('identity');
export const checkpointKey: Buffer = Buffer.from('checkpoint');
/** Where the clock of idempotency keys stands, see `ControlBlock.keyClock`. */
export const keyClockKey: Buffer = Buffer.from('key-clock');
/** Every message up to here has been carried out: its outcome is needed no more. */
export const settledKey: Buffer = Buffer.from('settled');
/** The last block that the postings tell of. */
export const indexedKey: Buffer = Buffer.from('indexed');

export const dataFileOf = (folder: string): string => join(folder, 'store.mdb');

/** Open the environment. The writer comes first: it makes the file and the tables. Throws if it is not one to read. */
export function openEnvironment(folder: string, readOnly: boolean): Environment {
  const binary = { encoding: 'binary' as const, keyEncoding: 'binary' as const, cache: false };
  const root = openLmdb(dataFileOf(folder), {
    ...binary,
    readOnly,
    mapSize: mapBytes,
    maxReaders,
    overlappingSync: false,
    maxDbs: 8,
    startPages,
    makesTables: true,
    damaged: (reason) => damaged(folder, reason),
  });
  const table = (name: string, compression?: object): Table => {
    const opened = root.openDB<Buffer, Uint8Array>({ name, ...binary, compression } as DatabaseOptions & {
      name: string;
    }) as Table | undefined;
    return opened ?? fail(damaged(folder, `table ${name} is missing`));
  };
  try {
    return {
      folder,
      identity: readIdentity(root, folder), // before another release's tables are touched
      root,
      blocks: table('blocks', blockCompression),
      heads: table('heads'),
      snapshots: table('snapshots'),
      receipts: table('receipts'),
      expiries: table('expiries'),
      postings: table('postings'),
    };
  } catch (error) {
    unawaited(root.close());
    throw error;
  }
}

const keptIdentity = object<Pick<Identity, 'logId'> & Partial<Pick<Identity, 'holds' | 'since'>>>({
  logId: text,
  holds: optional(oneOf('events', 'memory')),
  since: optional(number),
});

function readIdentity(root: Table, folder: string): Identity | undefined {
  const bytes = root.get(identityKey);
  root.resetReadTxn();
  if (bytes === undefined) return undefined;
  const identity = parseFields(bytes.toString());
  const { format } = identity;
  if (typeof format === 'number' && format > STORE_FORMAT) {
    throw new TrunklineError('DataDirNewerFormat', {
      dataDir: dirname(folder),
      found: format,
      supported: STORE_FORMAT,
    });
  }
  if (format !== STORE_FORMAT || !fits(identity, keptIdentity))
    throw damaged(folder, 'its identity cannot be understood');
  const { logId, holds = 'events', since = Number.POSITIVE_INFINITY } = identity;
  return { format, logId, holds, since };
}

/** Within one look at the newest commit: a value of the root table; 0 if it is not there yet. */
export function readNumber({ root }: Environment, key: Buffer): number {
  const bytes = root.getBinaryFast(key);
  return bytes === undefined ? 0 : bytes.readDoubleLE(0);
}

/** Within one look: the last position that the store holds. */
export const readCheckpoint = (environment: Environment): number => readNumber(environment, checkpointKey);

export function damaged(folder: string, reason: string, cause?: unknown): TrunklineError {
  const options = cause === undefined ? undefined : { cause };
  return new TrunklineError('StoreDamaged', { dataDir: dirname(folder), reason }, options);
}

function fail(error: Error): never {
  throw error;
}
