// The handlers' LMDB environment: one table of JSON text, key = table name, 0, key. Fully synced: a commit returns when it
// is on the disk. One thread writes (write-thread.ts), any thread of any process reads.
import { join } from 'node:path';
import { open, type RootDatabase, type RootDatabaseOptions } from 'lmdb';

export type Environment = RootDatabase<Buffer, Uint8Array>;

// Address space, not disk: bounds the file at 64 GiB.
const mapBytes = 2 ** 36;
const maxReaders = 256;

export const KEY_BYTES_LIMIT = 1500; // of the 1,978 that LMDB takes at this page size; the table's name needs some

export const dataFileOf = (folder: string): string => join(folder, 'handlers.mdb');

export function openEnvironment(folder: string, readOnly: boolean): Environment {
  const options: RootDatabaseOptions & { permissionsMode: number } = {
    encoding: 'binary',
    keyEncoding: 'binary',
    cache: false,
    readOnly,
    mapSize: mapBytes,
    maxReaders,
    overlappingSync: false,
    permissionsMode: 0o600,
  };
  return open<Buffer, Uint8Array>(dataFileOf(folder), options);
}

export const keyOf = (table: string, key: string): Buffer => Buffer.from(`${table}\0${key}`);
