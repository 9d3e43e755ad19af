// What one process of ours waits for of another is a row or a table of our schema: a role that may connect to the database, and
// do nothing else, holds up none of it, whatever numbers it locks; and those who do wait go on when the holder has ended.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { PostgresTables } from '../../../src/adapters/postgres/handlers/tables.ts';
import { PostgresTraces } from '../../../src/adapters/postgres/handlers/traces.ts';
import { archiveMonth, dropMonth } from '../../../src/adapters/postgres/partitions/month-archive.ts';
import { migrate } from '../../../src/adapters/postgres/schema/migrate.ts';
import { keepPartitions } from '../../../src/adapters/postgres/schema/months.ts';
import { lockNames, lockSql } from '../../../src/adapters/postgres/session/locks-sql.ts';
import { postgres } from '../../../src/index.ts';
import { administer, freshDatabase } from '../../postgres.ts';
import { errorOf, scratchFolder, until } from '../../runtime/scratch.ts';
import { Clients } from './clients.ts';

const logId = 'the-log';
const stranger = `stranger_${process.pid}`;
const clients = new Clients();
let url: string;
let client: pg.Client;

const strange = (): Promise<pg.Client> => {
  const own = new URL(url);
  [own.username, own.password] = [stranger, 'p'];
  return clients.connect(own.href);
};
const tablesOf = (schema: string): PostgresTables =>
  new PostgresTables(postgres({ connectionString: url, schema }).settings, logId, 1);
const refuse = (_: unknown, error: Error): void => {
  throw error;
};

beforeAll(async () => {
  url = await freshDatabase();
  await administer(url, `create role ${stranger} login password 'p'`);
});
afterEach(() => clients.end());
afterAll(() => administer(url, `drop owned by ${stranger}; drop role ${stranger}`));

const written = (): string[] => {
  const src = fileURLToPath(new URL('../../../src', import.meta.url));
  const found: string[] = [];
  for (const file of readdirSync(src, { recursive: true }) as string[]) {
    if (!file.endsWith('.ts')) continue;
    const code = readFileSync(join(src, file), 'utf8').replaceAll(/^\s*\/\/.*$|\/\*[\s\S]*?\*\//gm, '');
    // What a handler of the user's has locked in its session goes before the next one gets it.
    if (/advisory/i.test(code.replaceAll('pg_catalog.pg_advisory_unlock_all()', ''))) found.push(file);
  }
  return found;
};

test('neither a text of src nor a function of the schema takes a lock of the server by number', async () => {
  await migrate({ connection: url, schema: 'numbers' });
  const functions = await administer(
    url,
    `select proname from pg_proc where pronamespace = 'numbers'::regnamespace and prosrc ilike '%advisory%'`,
  );
  expect([written(), functions]).toEqual([[], []]);
});

test('whatever a stranger locks by number, handlers commit, months are made and archived, and the schema is migrated', async () => {
  const schema = 'held';
  await migrate({ connection: url, schema });
  client = await clients.connect(url);
  const other = await strange();
  const names = ['handlers', 'projection p', 'upkeep', 'make_partition', 'migrate', 'archive'];
  const others = [logId, schema, `${schema} 2024-05`];
  for (const name of names) {
    await other.query('select pg_advisory_lock(hashtext($1), hashtext(other)) from unnest($2::text[]) other', [
      `trunkline.${name}`,
      others,
    ]);
  }
  const tables = tablesOf(schema);
  await tables.commit([{ table: 'seen', key: 'a', json: '1' }], refuse);
  expect(await tables.get('seen', 'a')).toBe('1');
  const transaction = await tables.begin(undefined, 0, true);
  if (transaction === 'taken') throw new Error(transaction);
  await (transaction.client as unknown as pg.ClientBase).query(tables.projectionLock('p'));
  await transaction.commit([]);
  await tables.close();
  await client.query(
    `insert into ${schema}.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data)
     values (gen_random_uuid(), 'stock', 'a', 1, 'Sold', 1, '2024-05-05T00:00:00Z', '{}')`,
  );
  expect(await keepPartitions(client, schema, 0)).toHaveLength(2);
  const make = `select ${schema}.make_partition('2024-06-01T00:00:00Z') as made`;
  expect((await client.query(make)).rows).toEqual([{ made: 'domain_events_2024_06' }]);
  const folder = scratchFolder();
  await archiveMonth(client, schema, '2024-05', folder);
  await dropMonth(client, schema, '2024-05', folder, false);
  await client.query(`drop schema ${schema} cascade`);
  expect((await migrate({ connection: url, schema })).version).toBeGreaterThan(10);
});

test('the rows are for roles that may write the table: not for one that may read it, and not for one that may not', async () => {
  const schema = 'rows';
  await migrate({ connection: url, schema });
  const other = await strange();
  const codes = async (): Promise<string[]> => {
    const tried = [
      `select from ${schema}.locks for update`,
      `select from ${schema}.locks for key share`,
      lockSql(schema, lockNames.upkeep),
      `lock table ${schema}.locks in row exclusive mode`,
      `lock table ${schema}.trunkline_migrations in share mode`,
    ];
    const found: string[] = [];
    for (const sql of tried) found.push((await errorOf(other.query(`rollback; begin; ${sql}`))).code);
    return found;
  };
  const denied = Array<string>(5).fill('42501');
  expect(await codes()).toEqual(denied);
  await administer(url, `grant usage on schema ${schema} to ${stranger}`);
  await administer(url, `grant select on all tables in schema ${schema} to ${stranger}`);
  expect(await codes()).toEqual(denied);
});

test('a lock goes to one at a time, also the first time, and after its row has gone; what it was for takes it along', async () => {
  const schema = 'turns';
  await migrate({ connection: url, schema });
  const [first, second] = [await clients.connect(url), await clients.connect(url)];
  client = await clients.connect(url);
  const { rows: sessions } = await second.query('select pg_backend_pid() as pid');
  const lock = lockSql(schema, lockNames.projection(logId, "p's"));
  const waits = async (): Promise<void> => {
    await until(
      () => client.query('select cardinality(pg_blocking_pids($1)) > 0 as waits', [sessions[0].pid]),
      ({ rows }) => rows[0].waits === true,
    );
  };
  const ends = [
    'rollback',
    'commit',
    'commit',
    `delete from ${schema}.locks where lock_name like 'projection%'; commit`,
  ];
  for (const end of ends) {
    await first.query(`begin; ${lock}`);
    await second.query('begin');
    const taken = second.query(lock).then(() => true);
    await waits();
    await first.query(end);
    expect(await taken).toBe(true);
    await second.query(end === 'rollback' ? 'rollback' : 'commit');
  }
  const kept = async (): Promise<string[]> =>
    (await client.query(`select lock_name as name from ${schema}.locks order by 1`)).rows.map(({ name }) => name);
  expect(await kept()).toEqual([lockNames.projection(logId, "p's"), 'upkeep']);
  await new PostgresTraces(postgres({ connectionString: url, schema }).settings, logId).remove("p's", []);
  await client.query(`select ${schema}.make_partition('2024-05-01T00:00:00Z')`);
  const folder = scratchFolder();
  await archiveMonth(client, schema, '2024-05', folder);
  expect(await kept()).toEqual([lockNames.archive('2024-05'), 'upkeep']);
  await dropMonth(client, schema, '2024-05', folder, false);
  expect(await kept()).toEqual(['upkeep']);
});

const table = `create table "two's".trunkline_migrations (number int primary key, name text, checksum text)`;
const toMake: readonly [string, string, string][] = [
  ['the schema', 'select', `create schema "two's"`],
  ['its table', `create schema "two's"`, table],
  ['a version', `create schema "two's"; ${table}`, `lock table "two's".trunkline_migrations in row exclusive mode`],
];

test('a migration waits for another that makes the schema, its table or a version, and goes on behind it', async () => {
  // A snapshot older than the wait would not show what has been made meanwhile.
  const database = new URL(url).pathname.slice(1);
  await administer(url, `alter database ${database} set default_transaction_isolation = 'serializable'`);
  client = await clients.connect(url);
  for (const [what, before, making] of toMake) {
    await client.query(before);
    const other = await clients.connect(url);
    await other.query(`begin isolation level read committed; ${making}`);
    const migrating = migrate({ connection: url, schema: "two's" });
    migrating.catch(() => {});
    const waiting = `select from pg_stat_activity where application_name = 'trunkline migrate'
      and datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0`;
    await until(
      () => client.query(waiting),
      ({ rowCount }) => rowCount === 1,
    );
    await other.query('commit');
    expect((await migrating).migrations.length, what).toBeGreaterThan(10);
    await client.query(`drop schema "two's" cascade`);
  }
});
