// The handlers' LMDB environment: one table of JSON text, key = table name, 0, key. Fully synced: a commit returns when it
// is on the disk. One thread writes (write-thread.ts), any thread of any process reads.
import { dirname, join } from 'node:path';
import type { RootDatabase } from 'lmdb';
import { TrunklineError } from '../../../base/errors.ts';
import { startPages } from '../../../base/lmdb-file.ts';
import { openLmdb } from '../../../base/lmdb-open.ts';

export type Environment = RootDatabase<Buffer, Uint8Array>;

// Address space, not disk: bounds the file at 64 GiB.
const mapBytes = 2 ** 36;
const maxReaders = 256;

export const dataFileOf = (folder: string): string => join(folder, 'handlers.mdb');

export function openEnvironment(folder: string, readOnly: boolean): Environment {
  return openLmdb(dataFileOf(folder), {
    encoding: 'binary',
    keyEncoding: 'binary',
    cache: false,
    readOnly,
    mapSize: mapBytes,
    maxReaders,
    overlappingSync: false,
    startPages,
    damaged: (reason) =>
      new TrunklineError('StoreDamaged', { dataDir: dirname(folder), reason: `handlers/handlers.mdb: ${reason}` }),
  });
}

export const keyOf = (table: string, key: string): Buffer => Buffer.from(`${table}\0${key}`);
