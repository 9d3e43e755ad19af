// Brings a schema up to this release, one migration a transaction, under a lock on `trunkline_migrations` that the transaction
// holds: so that what is cut off leaves nothing, two at once wait for each other, and a pooler between does not matter. Only
// roles that may write the table can hold that lock. Before there is one, two wait for each other where they make the schema
// and the table: the server lets one of two with the same name go on, and the other looks again.

import pg from 'pg';
import { checkSignal } from '../../../base/checks.ts';
import { isError, TrunklineError } from '../../../base/errors.ts';
import { checkFields, fieldsOf } from '../../../base/known-fields.ts';
import { type Connection, checkSchemaName, configOf, defaultSchema } from '../session/connection.ts';
import { failure, isAway } from '../session/failure.ts';
import { openClient } from '../session/server-session.ts';
import { beginSql } from '../session/session-sql.ts';
import { codeOf } from '../session/sqlstate.ts';
import { execute } from '../session/statement.ts';
import { type Migration, readMigrations, versionOf } from './migrations.ts';
import {
  createList,
  createSchema,
  insertStatement,
  listStatement,
  lockList,
  migrateIn,
  schemaStatement,
} from './migrations-sql.ts';
import { checkOwnership } from './ownership.ts';
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
/** Each time another has made what this one was to make. */
const lookAgainLimit = 10;
/** With traffic on the same tables, which locks them in the order of its own statements. */
const deadlock = '40P01';
/** Unique violation (in the server's catalogue), a schema, a table, a table's type: made by another after we had looked. */
const madeByAnother: readonly string[] = ['23505', '42P06', '42P07', '42710'];
const migrateFields = fieldsOf<MigrateOptions>({
  connection: true,
  schema: 'text',
  dryRun: 'boolean',
  signal: true,
  folder: 'text',
});

/**
 * Apply the migrations that the schema lacks.
 * @throws StoreUnavailable, StoreAccessDenied, StoreSchemaNewer, StoreSchemaMismatch, StoreSchemaUnsafe, MigrationFailed
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

/** The next one, if it is still missing once the lock is held. `looks`: how often others have been faster. */
async function applyNext(
  client: pg.ClientBase,
  schema: string,
  known: readonly Migration[],
  looks = 0,
): Promise<Migration | undefined> {
  const name = pg.escapeIdentifier(schema);
  // Whatever the database's default: a snapshot older than the lock would not show what its last holder has done.
  await client.query(beginSql(`lock_timeout = ${lockTimeoutMs}`));
  let migration: Migration | undefined;
  try {
    await makeSchema(client, name, schema);
    await checkOwnership(client, schema, 'migration');
    await lockTable(client, name, schema);
    const version = await versionOf(client, schema, known);
    migration = known[version];
    if (migration !== undefined) {
      await execute(client, migrateIn(name));
      await execute(client, migration.sql);
      await insertStatement(name).count(client, migration);
    }
    await client.query('commit');
    return migration;
  } catch (error) {
    await client.query('rollback').catch(() => {});
    const isLate = migration === undefined && madeByAnother.includes(codeOf(error));
    const isDeadlock = codeOf(error) === deadlock;
    if ((isLate || isDeadlock) && looks < lookAgainLimit) return applyNext(client, schema, known, looks + 1);
    if (migration === undefined || isAway(error) || isError(failure(error, schema), 'StoreAccessDenied')) throw error;
    throw new TrunklineError('MigrationFailed', { schema, migration: migration.name, cause: String(error) });
  }
}

async function makeSchema(client: pg.ClientBase, name: string, schema: string): Promise<void> {
  if ((await schemaStatement.count(client, { schema })) === 0) await execute(client, createSchema(name));
}

async function lockTable(client: pg.ClientBase, name: string, schema: string): Promise<void> {
  if ((await listStatement.count(client, { schema })) === 0) await execute(client, createList(name));
  await execute(client, lockList(name));
}
