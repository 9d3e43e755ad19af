// Heads and events of actors, and of entities that a log writes, are written by roles that may move a log's checkpoint, and by no other:
// a role with the rights of saveWithTx, and even with every right on `aggregates`, is refused by name, and goes on with its own.
import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migrate, postgres } from '../../../src/index.ts';
import { administer, freshDatabase, migratedDatabase } from '../../postgres.ts';
import { Counter } from '../../runtime/aggregates.ts';
import { errorOf, startRuntime } from '../../runtime/scratch.ts';
import { earlierSaverGrants } from './saver.ts';

const [saver, writer, mover] = ['saver', 'writer', 'mover'].map((role) => `${role}_${process.pid}`) as [
  string,
  string,
  string,
];
let url: string;
let client: pg.Client;

const heads = `insert into trunkline.aggregates
  (aggregate_type, aggregate_id, version, previous_version, log_id, position, first_occurred_at, last_occurred_at) values`;
const columns = 'aggregate_type, aggregate_id, version, previous_version, first_occurred_at, last_occurred_at';
/** `stray`: written by a transaction before its type was that of actors. */
const rows = `insert into trunkline.actor_types values ('actor');
  ${heads} ('actor', 'one', 3, 2, 'a log', 7, now(), now()), ('actor', 'stray', 1, 0, null, 0, now(), now()),
    ('order', 'of a log', 1, 0, 'a log', 8, now(), now()), ('invoice', 'own', 1, 0, null, 0, now(), now())`;

beforeAll(async () => {
  url = await migratedDatabase();
  client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(
    `create role ${saver} login password 'p'; create role ${writer}; create role ${mover}; ${earlierSaverGrants(saver)};
     insert into trunkline.raise_rights values ('${writer}', 'invoice', '*'); grant usage on schema trunkline to ${writer}, ${mover};
     grant select on all tables in schema trunkline to ${writer}, ${mover};
     grant insert, update, delete, truncate on trunkline.aggregates to ${writer}, ${mover};
     grant insert on trunkline.domain_events to ${writer}, ${mover};
     grant usage on all sequences in schema trunkline to ${writer}, ${mover};
     grant update (position) on trunkline.flush_checkpoints to ${mover}; ${rows}`,
  );
});
afterAll(async () => {
  const roles = [saver, writer, mover].join();
  await client.query(`drop owned by ${roles}; drop role ${roles}`);
  await client.end();
});

/** In a transaction that is undone: how many rows it has changed, or its error. */
async function as(role: string, sql: string): Promise<unknown> {
  await client.query(`begin; set local session authorization ${role}`);
  try {
    return (await client.query(sql)).rowCount;
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return { code, message };
  } finally {
    await client.query('rollback');
  }
}

const of = (type: string, id: string): string => `where aggregate_type = '${type}' and aggregate_id = '${id}'`;
const update = (set: string, type: string, id: string): string =>
  `update trunkline.aggregates set ${set} ${of(type, id)}`;
const head = (type: string, id: string): string => `insert into trunkline.aggregates (${columns}) values
  ('${type}', '${id}', 1, 0, now(), now())`;

const changes = [
  ...['version = version + 1', 'previous_version = 0', "first_occurred_at = 'epoch'", "last_occurred_at = 'epoch'"],
  ...['log_id = null', "log_id = 'mine'", 'epoch = epoch + 1', 'position = 0', 'updated_at = now()'],
];
/** What each of them is refused for. */
const ofLogs: readonly (readonly [sql: string, named: string])[] = [
  ...changes.map((set) => [update(set, 'actor', 'one'), 'actor/one'] as const),
  ...changes.map((set) => [update(set, 'order', 'of a log'), 'order/of a log'] as const),
  [update('version = 2', 'actor', 'stray'), 'actor/stray'],
  [update("aggregate_type = 'invoice'", 'actor', 'one'), 'actor/one'],
  [update("aggregate_id = 'two'", 'actor', 'one'), 'actor/one'],
  [update("aggregate_type = 'actor'", 'invoice', 'own'), 'actor/own'],
  [update("log_id = 'a log'", 'invoice', 'own'), 'invoice/own'],
  [head('actor', 'ahead'), 'actor/ahead'],
  [`${head('actor', 'one')} on conflict (aggregate_type, aggregate_id) do update set version = 9`, 'actor/one'],
  [`${heads} ('invoice', 'ahead', 1, 0, 'a log', 1, now(), now())`, 'invoice/ahead'],
  [`delete from trunkline.aggregates ${of('actor', 'one')}`, 'actor/one'],
  [`delete from trunkline.aggregates ${of('order', 'of a log')}`, 'order/of a log'],
  [
    `merge into trunkline.aggregates a using (values (1)) v on ${of('actor', 'one').slice(6)} when matched then delete`,
    'actor/one',
  ],
  ['truncate trunkline.aggregates', 'empty aggregates'],
];

test.each(ofLogs)('with every right on the heads, and none on checkpoints, refused by name: %s', async (sql, named) => {
  const refused = { code: '42501', message: expect.stringMatching(new RegExp(`^role ${writer} may not.*${named}`)) };
  expect(await as(writer, sql)).toEqual(refused);
  expect(await as(mover, sql)).not.toMatchObject({ code: expect.anything() });
});

test('with the rights of saveWithTx: refused likewise, by the trigger or for want of a right', async () => {
  for (const [sql] of ofLogs) expect(await as(saver, sql), sql).toMatchObject({ code: '42501' });
  expect(await as(saver, update('version = version + 1', 'actor', 'one'))).toMatchObject({
    message: expect.stringContaining('the head of actor/one'),
  });
  // What would hold up every flush, whatever row it is about.
  for (const mode of ['row share', 'row exclusive', 'share', 'exclusive', 'access exclusive']) {
    for (const table of ['aggregates', 'domain_events', 'outbox', 'actor_types']) {
      expect(await as(saver, `lock table trunkline.${table} in ${mode} mode`), table).toMatchObject({ code: '42501' });
    }
  }
});

test('heads of its own it makes, moves and deletes as before', async () => {
  for (const role of [writer, mover]) {
    expect(await as(role, head('invoice', 'new'))).toBe(1);
    for (const set of changes.filter((one) => !one.startsWith('log_id'))) {
      expect(await as(role, update(set, 'invoice', 'own')), set).toBe(1);
    }
    expect(await as(role, `delete from trunkline.aggregates ${of('invoice', 'own')}`)).toBe(1);
  }
  expect(await as(saver, head('invoice', 'new'))).toBe(1);
  expect(await as(saver, update('version = version + 1', 'invoice', 'own'))).toBe(1);
});

test('events of actors, and of aggregates that a log writes, it cannot write', async () => {
  const event = (type: string, id: string): string => `insert into trunkline.domain_events
    (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data)
    values (gen_random_uuid(), '${type}', '${id}', 4, 'Added', 1, '2026-11-27', '{}')`;
  for (const role of [saver, writer]) {
    for (const [type, id] of [
      ['actor', 'one'],
      ['actor', 'none'],
      ['order', 'of a log'],
    ] as const) {
      const message = expect.stringContaining(`role ${role} may not write events of ${type}/${id}`);
      expect(await as(role, event(type, id))).toEqual({ code: '42501', message });
    }
    for (const id of ['own', 'none']) expect(await as(role, event('invoice', id))).toBe(1);
  }
  expect(await as(mover, event('actor', 'one'))).toBe(1);
});

test('rows with a log, with a place in one, or with a time finer than those of logs it cannot write', async () => {
  const row = (
    of: string,
    more: string,
    values: string,
    at = '2026-11-27',
  ): string => `insert into trunkline.domain_events
    (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data${more})
    values (gen_random_uuid(), ${of}, 4, 'Added', 1, '${at}', '{}'${values})`;
  for (const of of ["'actor', 'one'", "'order', 'of a log'", "'invoice', 'own'"]) {
    for (const [more, values] of [
      [', log_id', ", 'a log'"],
      [', log_id, position', ", 'a log', 9"],
      [', position', ', 9'],
    ] as const) {
      const message = expect.stringContaining(`role ${writer} may not write log_id or position of`);
      expect(await as(writer, row(of, more, values))).toEqual({ code: '42501', message });
      expect(await as(mover, row(of, more, values))).toBe(1);
    }
  }
  const fine = row("'invoice', 'own'", '', '', '2026-11-27 20:00:00.123456');
  const message = expect.stringContaining('whole number of milliseconds');
  for (const role of [saver, writer]) expect(await as(role, fine)).toEqual({ code: '22023', message });
  expect(await as(mover, fine)).toBe(1);
});

test('in the name of another role it writes none: by a row, or by a function that inserts one', async () => {
  for (const name of ['databaseRole', 'databaseLogin']) {
    const metadata = `'{"${name}": "${mover}"}'::jsonb`;
    const row = `insert into trunkline.domain_events
      (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data, metadata)
      values (gen_random_uuid(), 'invoice', 'own', 2, 'Made', 1, '2026-11-27', '{}', ${metadata})`;
    const one = `gen_random_uuid(), 'invoice', 'own', 'Made', 1, now(), '{}'::jsonb, ${metadata}, 1`;
    const several = `array[gen_random_uuid()], array['invoice'], array['own'], array['Made'], array[1], array[now()],
      array['{}'::jsonb], array[${metadata}], array[2]`;
    for (const sql of [row, `select trunkline.append_event(${one})`, `select trunkline.append_events(${several})`]) {
      const message = `role ${saver} may not write metadata.databaseRole or databaseLogin: raise_event writes them`;
      expect(await as(saver, sql), sql).toEqual({ code: '42501', message });
    }
    expect(await as(mover, row)).toBe(1);
  }
});

test('no event of an actor gets into quarantine by it', async () => {
  const runtime = await startRuntime({ aggregates: [Counter], store: postgres({ connectionString: url }), shards: 1 });
  const counter = runtime.ref(Counter, 'kept').with({ ack: 'stored' });
  await counter.add(1);
  const own = new URL(url);
  [own.username, own.password] = [saver, 'p'];
  const all = await errorOf(administer(own.href, 'update trunkline.aggregates set version = version + 1'));
  expect(all).toMatchObject({ code: '42501' });
  for (const id of ['kept', 'next']) {
    const forged = [{ aggregateType: 'counter', aggregateId: id, type: 'Added', data: { by: 9 } }];
    const saving = new pg.Client({ connectionString: own.href });
    await saving.connect();
    await saving.query('begin');
    const refused = await errorOf(runtime.store.saveWithTx(saving, forged));
    expect(refused).toMatchObject({ code: 'AggregateTypeOwnedElsewhere' });
    await saving.end();
  }
  expect(await errorOf(administer(own.href, head('counter', 'next')))).toMatchObject({ code: '42501' });
  await counter.add(1);
  await runtime.ref(Counter, 'next').with({ ack: 'stored' }).add(1);
  expect(runtime.status().quarantined).toBe(0);
  expect((await runtime.store.getByType('Added')).map(({ version }) => version)).toEqual([1, 2, 1]);
  await runtime.close();
});

test('a schema with rows of every kind is migrated, and its rows stay as they are', async () => {
  const connection = await freshDatabase();
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-migrations-'));
  cpSync(fileURLToPath(new URL('../../../migrations', import.meta.url)), folder, { recursive: true });
  for (const file of readdirSync(folder)) if (!(file < '000020')) rmSync(join(folder, file));
  await migrate({ connection, folder });
  rmSync(folder, { recursive: true });
  await administer(connection, rows);
  const all = 'select a::text from trunkline.aggregates a order by 1';
  const before = await administer(connection, all);
  await migrate({ connection });
  expect(await administer(connection, all)).toEqual(before);
  await administer(connection, update('version = version + 1', 'actor', 'one')); // its owner's
});

test('the transaction and the number of an event, by which tails go on, are its own', async () => {
  const event = (column: string, value: string): string => `insert into trunkline.domain_events
    (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data, ${column})
    values (gen_random_uuid(), 'invoice', 'own', 4, 'Added', 1, '2026-11-27', '{}', ${value})`;
  const transactions = ["'9000000000000000000'", "'1'"].map((value) => event('transaction_id', value));
  const numbers = ['9000000000000000000', '1000000', '0', '-1'];
  const refused = { code: '42501', message: expect.stringMatching(`^role ${writer} may not write transaction`) };
  for (const sql of [...transactions, ...numbers.map((value) => event('sequence', value))]) {
    expect(await as(writer, sql), sql).toEqual(refused);
    expect(await as(mover, sql), sql).toBe(1);
  }
  expect(await as(writer, event('transaction_id', 'pg_current_xact_id()'))).toBe(1);
  expect(await as(writer, event('sequence', "nextval('trunkline.domain_events_sequence')"))).toBe(1);
});
