// What a role or a database sets for its sessions is not what our connections go by: every family of statements under all
// settings at once that would make them print, read, wait or commit in another way.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openClient } from '../../../src/adapters/postgres/session/server-session.ts';
import { postgres } from '../../../src/index.ts';
import { administer, freshDatabase, serverUrl } from '../../postgres.ts';
import { Counter } from '../../runtime/aggregates.ts';
import { startRuntime } from '../../runtime/scratch.ts';
import { operatorsIn, runEveryFamily } from './families.ts';

const hostile: Readonly<Record<string, string>> = {
  DateStyle: 'German',
  TimeZone: 'America/St_Johns',
  IntervalStyle: 'sql_standard',
  bytea_output: 'escape',
  extra_float_digits: '-15',
  array_nulls: 'off',
  transform_null_equals: 'on',
  standard_conforming_strings: 'off',
  escape_string_warning: 'off',
  quote_all_identifiers: 'on',
  client_encoding: 'LATIN1',
  default_transaction_isolation: 'serializable',
  default_transaction_read_only: 'on',
  default_transaction_deferrable: 'on',
  synchronous_commit: 'off',
  statement_timeout: '400ms',
  lock_timeout: '1ms',
  idle_in_transaction_session_timeout: '1ms',
  idle_session_timeout: '300ms',
  transaction_timeout: '400ms',
  search_path: 'traps, pg_catalog',
  row_security: 'off',
  lc_messages: 'C',
};
const traps = ['hashtext(text)', 'to_timestamp(float8)', 'now()'];

let owner: string;
let url: string;
const role = `hostile_${process.pid}`;

beforeAll(async () => {
  owner = await freshDatabase();
  const database = new URL(owner).pathname.slice(1);
  await administer(
    owner,
    `create role ${role} login password 'trunkline';
     grant create on database ${database} to ${role};
     create schema traps;
     grant usage on schema traps to ${role};
     ${operatorsIn('traps')}
     create schema reports authorization ${role};
     ${traps.map((trap) => `create function traps.${trap} returns int language sql as 'select 1 / 0';`).join('')}
     ${Object.entries(hostile)
       .map(
         ([name, value]) =>
           `alter role ${role} in database ${database} set ${name} to ${name === 'search_path' ? value : `'${value}'`};`,
       )
       .join('')}`,
  );
  const asRole = new URL(owner);
  asRole.username = role;
  asRole.password = 'trunkline';
  url = asRole.href;
});

afterAll(async () => {
  await administer(owner, `drop owned by ${role} cascade; drop role ${role}`);
  expect(await administer(await serverUrl(), 'select from pg_roles where rolname = $1', [role])).toEqual([]);
});

test('the settings of the role are in force for whoever does not set them', async () => {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {}); // it idles
  await client.connect();
  const { rows } = await client.query(
    'select s.name, s.setting from pg_catalog.pg_settings s where lower(s.name) operator(pg_catalog.=) any($1)',
    [Object.keys(hostile).map((name) => name.toLowerCase())],
  );
  await client.end();
  expect(rows).toHaveLength(Object.keys(hostile).length);
  const ours = await openClient({ connectionString: url }, { name: 'test', timeoutMs: 20_000 });
  const { rows: set } = await ours.query('select name, setting from pg_settings');
  await ours.end();
  const settingOf = (of: { name: string; setting: string }[], name: string): string =>
    of.find((row) => row.name === name)!.setting;
  const same = Object.keys(hostile).filter((name) => settingOf(rows, name) === settingOf(set, name));
  // These change nothing that we print, read or wait for.
  // (client_encoding is said when a connection is opened, by every client of this library.)
  const indifferent = [
    'client_encoding',
    'escape_string_warning',
    'lc_messages',
    'quote_all_identifiers',
    'row_security',
  ];
  expect(same.sort()).toEqual(indifferent);
});

test('every family of statements does what it does anywhere', async () => {
  await runEveryFamily(url, owner, role);
}, 90_000);

test('what a handler sets in its session is not left to the next one', async () => {
  const connection = await freshDatabase();
  const store = postgres({ connectionString: connection, migrate: true });
  const runtime = await startRuntime({ aggregates: [Counter], shards: 1, store, handlers: { connections: 1 } });
  const looks = `select current_setting('timezone') || current_setting('search_path') || current_setting('work_mem')
    || current_user || coalesce(current_setting('app.tenant', true), '') || (select count(*) from pg_prepared_statements)
    || (select count(*) from pg_locks where locktype = 'advisory' and objid = 77) || (to_regclass('pg_temp.mine') is not null)
    || (select count(*) from pg_cursors) || (select count(*) from pg_listening_channels()) || session_user as state`;
  const found: string[] = [];
  const failed: unknown[] = [];
  // It may write the handlers' tables: the entry of an event is written as the role that its handler has set.
  await administer(
    connection,
    `create role another; grant another to postgres; grant usage on schema trunkline to another;
     grant select, insert, update, delete on all tables in schema trunkline to another`,
  );
  const subscription = runtime.subscribe({
    name: 'setter',
    retry: { attempts: 1 },
    handle: async ({ aggregateId, version }, { tx }) => {
      const client = (await tx.client()) as unknown as pg.Client;
      found.push((await client.query(looks)).rows[0].state);
      // Named alike by two handlers, with other texts.
      await client.query({ name: 'named', text: `select ${version}` }).catch((error) => failed.push(error));
      for (const statement of [
        `set timezone to 'Asia/Kolkata'`,
        `set search_path to nowhere`,
        `set work_mem to '1MB'`,
        `set app.tenant to 'acme'`,
        `prepare mine as select 1`,
        `select pg_advisory_lock(77)`,
        `create temp table mine (n int)`,
        `declare kept cursor with hold for select 1`,
        `listen ears`,
        aggregateId < 'a2' ? `set role another` : `set session authorization another`,
      ]) {
        await client.query(statement);
      }
      if (version % 2 === 0) throw new Error('rolled back');
    },
  });
  let receipt!: { position: number };
  for (let i = 0; i < 4; i++) receipt = await runtime.ref(Counter, `a${i}`).add(1);
  for (let i = 0; i < 4; i++) receipt = await runtime.ref(Counter, `a${i}`).add(1);
  await subscription.caughtUpTo(receipt);
  expect(failed).toEqual([]);
  expect(found).toHaveLength(8);
  expect(new Set(found).size).toBe(1);
  await runtime.close();
  await administer(connection, 'drop owned by another; drop role another');
});

test('connections are made, and transactions begun, in one place', () => {
  const source = join(import.meta.dirname, '../../../src');
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const found = files.filter((file) => {
    const code = readFileSync(join(source, file), 'utf8').replace(/^\s*(\/\/|\/?\*).*$/gm, '');
    return /new pg\.(Client|Pool)|new (Client|Pool)\(/.test(code) || /[`'"]begin(;|['"`])/.test(code);
  });
  // A unit of work begins the transaction of its user's own client.
  expect(found.sort()).toEqual(['adapters/postgres/session/server-session.ts', 'entity/client-transaction.ts']);
});
