// Brings a schema up to this release, one migration a transaction, under an advisory lock that the transaction holds: so
// that what is cut off leaves nothing, two at once wait for each other, and a pooler between does not matter.

import pg from 'pg';
import { checkSignal } from '../../checks.ts';
import { isError, TrunklineError } from '../../errors.ts';
import { checkFields, fieldsOf } from '../../known-fields.ts';
import { type Connection, checkSchemaName, configOf, defaultSchema } from './connection.ts';
import { failure, isAway } from './failure.ts';
import { type Migration, readMigrations, versionOf } from './migrations.ts';
import { checkOwnership } from './ownership.ts';
import { beginSql, openClient } from './server-session.ts';
import { checkServer } from './session.ts';

/** Which database, which schema, and whether only to look. */
export interface MigrateOptions {
  connection: Connection;
  /** Where the tables live; made if absent. Default `trunkline`. */
  schema?: string | undefined;
  /** Only tell what would be done. */
  dryRun?: boolean | undefined;
  /** Ends between two migrations. */
  signal?: AbortSignal | undefined;
  /** @internal another folder of migrations, for tests */
  folder?: string | undefined;
}

/** What {@link migrate} did, or would do. */
export interface MigrateReport {
  readonly schema: string;
  /** Applied now, or with `dryRun` those that would be. */
  readonly migrations: readonly { readonly number: number; readonly name: string; readonly sql: string }[];
  /** The schema's version afterwards (with `dryRun`: now); 0 before the first. */
  readonly version: number;
}

const lockTimeoutMs = 30_000;
const migrateFields = fieldsOf<MigrateOptions>({
  connection: true,
  schema: 'text',
  dryRun: 'boolean',
  signal: true,
  folder: 'text',
});

/**
 * Apply the migrations that the schema lacks.
 * @throws StoreUnavailable, StoreAccessDenied, StoreSchemaNewer, StoreSchemaAltered, StoreSchemaUnsafe, MigrationFailed
 */
export async function migrate(options: MigrateOptions): Promise<MigrateReport> {
  checkFields('migrate', options, migrateFields);
  const { connection, schema = defaultSchema, dryRun = false, signal, folder } = options;
  if (signal !== undefined) checkSignal(signal);
  checkSchemaName(schema);
  const config = configOf(connection);
  const known = await readMigrations(folder);
  let client: pg.Client | undefined;
  try {
    client = await openClient(config, { name: 'trunkline migrate', timeoutMs: 0 });
    await checkServer(client);
    await checkOwnership(client, schema, 'migration'); // before anything there is read: a table can run its owner's functions
    let version = await versionOf(client, schema, known);
    if (dryRun) return { schema, migrations: known.slice(version), version };
    const applied: Migration[] = [];
    while (version < known.length) {
      signal?.throwIfAborted();
      const migration = await applyNext(client, schema, known);
      if (migration !== undefined) applied.push(migration);
      version = await versionOf(client, schema, known);
    }
    return { schema, migrations: applied, version };
  } catch (error) {
    if (signal?.aborted && error === signal.reason) throw error;
    throw failure(error, schema);
  } finally {
    await client?.end().catch(() => {});
  }
}

/** The next one, if it is still missing once the lock is held. */
async function applyNext(
  client: pg.ClientBase,
  schema: string,
  known: readonly Migration[],
): Promise<Migration | undefined> {
  const name = pg.escapeIdentifier(schema);
  // Whatever the database's default: a snapshot older than the lock would not show what its last holder has done.
  await client.query(beginSql(`lock_timeout = ${lockTimeoutMs}`));
  let migration: Migration | undefined;
  try {
    await client.query('select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext($1), pg_catalog.hashtext($2))', [
      'trunkline.migrate',
      schema,
    ]);
    await makeSchema(client, name, schema);
    await checkOwnership(client, schema, 'migration');
    const version = await versionOf(client, schema, known);
    if (version === 0) await makeTable(client, name);
    migration = known[version];
    if (migration !== undefined) {
      await client.query(`set local search_path to ${name}, pg_temp`);
      await client.query(migration.sql);
      await client.query(`insert into ${name}.trunkline_migrations (number, name, checksum) values ($1, $2, $3)`, [
        migration.number,
        migration.name,
        migration.checksum,
      ]);
    }
    await client.query('commit');
    return migration;
  } catch (error) {
    await client.query('rollback').catch(() => {});
    if (migration === undefined || isAway(error) || isError(failure(error, schema), 'StoreAccessDenied')) throw error;
    throw new TrunklineError('MigrationFailed', { schema, migration: migration.name, cause: String(error) });
  }
}

async function makeSchema(client: pg.ClientBase, name: string, schema: string): Promise<void> {
  const { rowCount } = await client.query('select from pg_catalog.pg_namespace where nspname = $1', [schema]);
  // Not `if not exists`: that asks for the right to create even where there is nothing to create.
  if (rowCount === 0) await client.query(`create schema ${name}`);
}

async function makeTable(client: pg.ClientBase, name: string): Promise<void> {
  await client.query(`create table if not exists ${name}.trunkline_migrations (
    number     integer     primary key,
    name       text        not null,
    checksum   text        not null,
    applied_at timestamptz not null default pg_catalog.now()
  )`);
}
