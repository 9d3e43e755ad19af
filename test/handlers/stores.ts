// The two places where handlers keep what must survive: each test of handlers runs on both.

import { postgres, type Runtime, type RuntimeOptions } from '../../src/index.ts';
import type { PostgresStoreOptions } from '../../src/postgres.ts';
import { elsewhere, migratedDatabase } from '../postgres.ts';
import { scratchFolder, startSmall as startRuntime } from '../runtime/scratch.ts';

export const stores = ['embedded', 'postgres'] as const;
export type Store = (typeof stores)[number];

let database: Promise<string> | undefined;
const schemas = new Map<string, string>();

/** One for all tests of a file, with our tables in a schema that is not the default one. */
export const databaseUrl = (): Promise<string> => (database ??= migratedDatabase(elsewhere));

/** Another such one from here on: a copy costs a quarter of the migrations that a schema more needs. */
export function anotherDatabase(): Promise<string> {
  database = undefined;
  schemas.clear();
  return databaseUrl();
}

/** A schema for each data directory, the same one each time. The first is the one that the database has come with. */
export function schemaOf(dataDir: string): string {
  const schema = schemas.get(dataDir) ?? (schemas.size === 0 ? elsewhere : `store_${schemas.size}`);
  schemas.set(dataDir, schema);
  return schema;
}

const databases = new Map<string, Promise<string>>();

/** A database of its own for each data directory, the same one each time. */
export async function storeOf(dataDir: string): Promise<PostgresStoreOptions> {
  const known = databases.get(dataDir) ?? migratedDatabase();
  databases.set(dataDir, known);
  return postgres({ connectionString: await known });
}

/** `startRuntime` on that store. */
export function startOn(store: Store): (options?: Partial<RuntimeOptions>) => Promise<Runtime> {
  return async (options = {}) => {
    const dataDir = options.dataDir ?? scratchFolder();
    return startRuntime({ dataDir, ...(store === 'postgres' && { store: await storeOf(dataDir) }), ...options });
  };
}

/** The same where tables of the test's own stand beside: each data directory has a schema in one database. */
export async function startBeside(options: Partial<RuntimeOptions> = {}): Promise<Runtime> {
  const dataDir = options.dataDir ?? scratchFolder();
  const store = postgres({ connectionString: await databaseUrl(), schema: schemaOf(dataDir), migrate: true });
  return startRuntime({ dataDir, store, ...options });
}
