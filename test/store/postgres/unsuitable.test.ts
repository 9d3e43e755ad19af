// A database that cannot be used as it is set up refuses the start, by its own name: no retry would cure it.
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { checkTables } from '../../../src/adapters/postgres/schema/tables.ts';
import { failure } from '../../../src/adapters/postgres/session/failure.ts';
import { openClient } from '../../../src/adapters/postgres/session/server-session.ts';
import { migrate, postgres } from '../../../src/index.ts';
import { administer, migratedDatabase, serverUrl } from '../../postgres.ts';
import { errorOf, startRuntime } from '../../runtime/scratch.ts';

let good: string;

beforeAll(async () => {
  good = await migratedDatabase();
});

const startOn = (connectionString: string, migrates = false): Promise<unknown> =>
  errorOf(startRuntime({ store: postgres({ connectionString, migrate: migrates }), shards: 1 }));

test.each(['LATIN1', 'SQL_ASCII'])('a database whose encoding is %s', async (encoding) => {
  const server = await serverUrl();
  const name = `trunkline_${encoding.toLowerCase()}_${process.pid}`;
  await administer(server, `create database ${name} encoding '${encoding}' template template0 locale 'C'`);
  onTestFinished(() => administer(server, `drop database ${name} with (force)`) as Promise<unknown> as Promise<void>);
  const url = new URL(server);
  url.pathname = `/${name}`;
  const expected = { code: 'StoreUnsuitable', details: { reason: expect.stringContaining(encoding) } };
  expect(await startOn(url.href, true)).toMatchObject(expected);
  expect(await errorOf(migrate({ connection: url.href }))).toMatchObject(expected);
});

test('a database that does not exist, a server without TLS, one that takes no writes', async () => {
  const missing = new URL(good);
  missing.pathname = '/no_such_database';
  expect(await startOn(missing.href)).toMatchObject({ code: 'StoreUnsuitable' });
  for (const mode of ['require', 'verify-full']) {
    expect(await startOn(`${good}?sslmode=${mode}`)).toMatchObject({ code: 'StoreUnsuitable' });
  }
  const readOnly = Object.assign(new Error('cannot execute INSERT in a read-only transaction'), {
    code: '25006',
    severity: 'ERROR',
  });
  expect(failure(readOnly, 'trunkline').code).toBe('StoreUnsuitable');
});

test('a wrong password and a missing schema have their own names', async () => {
  const wrong = new URL(good);
  wrong.password = 'open-sesame';
  expect(await startOn(wrong.href)).toMatchObject({ code: 'StoreAccessDenied' });
  const elsewhere = postgres({ connectionString: good, schema: 'nowhere' });
  expect(await errorOf(startRuntime({ store: elsewhere }))).toMatchObject({ code: 'StoreSchemaMissing' });
});

test('a column of any table of ours that is not there is named at the start', async () => {
  const client = await openClient({ connectionString: good }, { name: 'test', timeoutMs: 20_000 });
  const { rows } = await client.query(
    `select c.relname as table, a.attname as column from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relnamespace = 'trunkline'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
       and c.relname <> 'trunkline_migrations' and a.attnum > 0 and not a.attisdropped
       and a.attname <> 'created_at'`, // of domain_events: for users; no statement of ours reads or writes it
  );
  expect(new Set(rows.map(({ table }) => table)).size).toBeGreaterThan(9);
  for (const { table, column } of rows) {
    await client.query(`begin; alter table trunkline.${table} rename ${column} to renamed`);
    const error = await errorOf(checkTables(client, 'trunkline'));
    expect(error).toMatchObject({ code: 'StoreSchemaMismatch', details: { reason: `it lacks ${table}.${column}` } });
    await client.query('rollback');
  }
  await checkTables(client, 'trunkline');
  await client.end();
});
