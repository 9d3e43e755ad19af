// Events that come by SQL: each limit at each door, and readers before rows that no door lets in. Such rows come from an earlier
// release, or from an owner who has switched the gate off, as these tests do.
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readArchive } from '../../../src/adapters/postgres/partitions/archive-file.ts';
import { archiveMonth, dropMonth } from '../../../src/adapters/postgres/partitions/month-archive.ts';
import { PostgresAggregateReader } from '../../../src/adapters/postgres/read/aggregate-reader.ts';
import { PostgresArchive } from '../../../src/adapters/postgres/read/archive.ts';
import { keepPartitions } from '../../../src/adapters/postgres/schema/months.ts';
import { storeStatus } from '../../../src/adapters/postgres/schema/status.ts';
import { openEventStore, postgres, type TrunklineError } from '../../../src/index.ts';
import { tailEvents } from '../../../src/postgres.ts';
import { ControlBlockWriter } from '../../../src/shared/control-block.ts';
import { EventFilter } from '../../../src/store/filter.ts';
import { administer, migratedDatabase } from '../../postgres.ts';
import { errorOf, scratchFolder, startRuntime, until } from '../../runtime/scratch.ts';
import { saverGrants } from './saver.ts';

const saver = `gate_${process.pid}`;
let url: string;
let client: pg.Client;

async function begun(): Promise<void> {
  url = await migratedDatabase();
  client = new pg.Client({ connectionString: url });
  await client.connect();
}

let firstUrl: string;
beforeAll(async () => {
  await begun();
  firstUrl = url;
  await client.query(`create role ${saver}; ${saverGrants(saver)}`);
});
afterAll(async () => {
  await client.end();
  await administer(firstUrl, `drop owned by ${saver}; drop role ${saver}`);
});

interface Row {
  type: string | null;
  id: string | null;
  name: string | null;
  shape: number | null;
  at: string | null;
  data: string | null;
  metadata: string | null;
}

const good: Row = {
  type: 'stock',
  id: 'a',
  name: 'Sold',
  shape: 1,
  at: '2024-05-10T00:00:00Z',
  data: '{}',
  metadata: '{}',
};
const deep = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`;
const objects = (count: number): string => `[${'{},'.repeat(count - 1)}{}]`;

const limits: [string, Partial<Row>][] = [
  ...(['type', 'name'] as const).flatMap((field): [string, Partial<Row>][] => [
    [`an empty ${field}`, { [field]: '' }],
    [`a ${field} of 101 bytes`, { [field]: `${'é'.repeat(50)}x` }],
  ]),
  ['an empty id', { id: '' }],
  ['an id of 256 bytes', { id: `${'é'.repeat(127)}xx` }],
  ...[0, -1, 65_536, 2 ** 31 - 1].map((shape): [string, Partial<Row>] => [`schema version ${shape}`, { shape }]),
  ...['infinity', '-infinity', '275761-01-01T00:00:00Z', '294276-01-01T00:00:00Z', '4713-01-01 00:00:00Z BC'].map(
    (at): [string, Partial<Row>] => [`the time ${at}`, { at }],
  ),
  ['data nested too deep', { data: deep(202) }],
  ['a number that is none', { data: '[1e400]' }],
  ['data that is a hundred times as large in memory', { data: objects(700_000) }],
  ['metadata of as many values', { metadata: `{"a": ${objects(44_000)}}` }],
  ['metadata nested too deep', { metadata: `{"a":${deep(201)}}` }],
  ...['5', '[]', '"text"', 'null'].map((metadata): [string, Partial<Row>] => [`metadata ${metadata}`, { metadata }]),
  ['a correlationId that is no text', { metadata: '{"correlationId": {"a": 1}}' }],
  ...(['type', 'id', 'name', 'shape', 'at', 'data'] as const).map((field): [string, Partial<Row>] => [
    `no ${field}`,
    { [field]: null },
  ]),
];

const tables = ['domain_events', 'aggregates', 'outbox'];
const insertion = `insert into trunkline.domain_events
  (id, aggregate_type, aggregate_id, event_type, schema_version, occurred_at, data, metadata, version)
  values (gen_random_uuid(), $1, $2, $3, $4, $5, $6, $7, 1)`;
const valuesOf = ({ type, id, name, shape, at, data, metadata }: Row): unknown[] => [
  ...[type, id, name, shape, at, data, metadata],
];

interface Door {
  fields: readonly (keyof Row)[];
  put(row: Row): Promise<unknown>;
}

function oneBy(name: string): Door {
  const sql = `select trunkline.${name}(gen_random_uuid(), $1, $2, $3, $4, $5, $6, $7, null)`;
  return { fields: Object.keys(good) as (keyof Row)[], put: (row) => client.query(sql, valuesOf(row)) };
}

function severalBy(name: string): Door {
  const sql = `select trunkline.${name}(array[gen_random_uuid(), gen_random_uuid()], array['stock', $1], array['beside', $2],
    array['Sold', $3], array[1, $4::int], array[now(), $5::timestamptz], array['{}', $6::jsonb],
    array[null, $7::jsonb], array[null, null]::int[])`;
  return { fields: Object.keys(good) as (keyof Row)[], put: (row) => client.query(sql, valuesOf(row)) };
}

function bySaver({ fields, put }: Door): Door {
  return {
    fields,
    put: async (row) => {
      await client.query(`set local role ${saver}`); // until the test's transaction ends
      await put(row);
    },
  };
}

const doors: Record<string, Door> = {
  raise_event: {
    fields: ['type', 'id', 'name', 'data', 'metadata'],
    put: ({ type, id, name, data, metadata }) =>
      client.query('select trunkline.raise_event($1, $2, $3, $4, $5)', [type, id, name, data, metadata]),
  },
  ...Object.fromEntries(['append_event', 'save_event', 'write_event'].map((name) => [name, oneBy(name)])),
  ...Object.fromEntries(['append_events', 'save_events', 'write_events'].map((name) => [name, severalBy(name)])),
  'append_event of a role with execute alone': bySaver(oneBy('append_event')),
  'append_events of a role with execute alone': bySaver(severalBy('append_events')),
  'a row of one’s own': {
    fields: ['type', 'id', 'name', 'shape', 'at', 'data', 'metadata'],
    put: (row) => client.query(insertion, valuesOf(row)),
  },
  'a row that is changed': {
    fields: ['type', 'id', 'name', 'shape', 'at', 'data', 'metadata'],
    put: async (row) => {
      await client.query(insertion, valuesOf(good));
      await client.query(
        `update trunkline.domain_events set aggregate_type = $1, aggregate_id = $2, event_type = $3, schema_version = $4,
           occurred_at = $5, data = $6, metadata = $7`,
        valuesOf(row),
      );
    },
  },
};

test.each(Object.keys(doors))('%s lets in no event that a reader could not take', async (door) => {
  const { fields, put } = doors[door]!;
  const found: string[] = [];
  for (const [what, change] of limits) {
    if (!Object.keys(change).every((field) => fields.includes(field as keyof Row))) continue;
    await client.query('begin');
    const { code } = await errorOf(put({ ...good, ...change }).then(() => Promise.reject({ code: 'let in' })));
    // What is not there at all, the columns themselves refuse.
    const isRefused = code === '22023' || (what.startsWith('no ') && code === '23502') || code === '23514';
    if (!isRefused) found.push(`${what}: ${code}`);
    await client.query('rollback');
  }
  expect(found).toEqual([]);
  await client.query('begin');
  await put({ ...good, data: deep(201), metadata: `{"correlationId": "x", "a": ${deep(200)}}`, shape: 65_535 });
  if (door !== 'raise_event') await put({ ...good, id: 'b', data: `[${'0,'.repeat((1 << 19) - 1)}0]` }); // 1 MiB of the client's
  await client.query('rollback');
  for (const table of tables) {
    expect((await client.query(`select from trunkline.${table}`)).rowCount, table).toBe(0);
  }
});

test('each function that writes events is one of these doors', async () => {
  const { rows } = await client.query(
    `select proname as name from pg_proc where pronamespace = 'trunkline'::regnamespace
       and prosrc ~ 'insert into [^ ]*domain_events\\y' order by 1`,
  );
  expect(rows.map(({ name }) => name)).toEqual(['raise_for_caller', 'write_event', 'write_events']);
});

test('of rows with a log only the widths are looked at; heads and the outbox hold what can be read, too', async () => {
  const event = (shape: number, at: string, position: number, data = '{}'): string =>
    `insert into trunkline.domain_events (id, aggregate_type, aggregate_id, event_type, schema_version, occurred_at, data, version,
       log_id, position) values (gen_random_uuid(), 'stock', 'a', 'Sold', ${shape}, '${at}', '${data}', 1, 'a-log', ${position})`;
  const head = `insert into trunkline.aggregates (aggregate_type, aggregate_id, version, previous_version, first_occurred_at, last_occurred_at)
    values ('stock', 'a', -1, 0, now(), now())`;
  const row = `insert into trunkline.outbox (sequence, id, occurred_at) values (1, gen_random_uuid(), '-infinity')`;
  const refused = [event(70_000, 'now', 1), event(1, 'infinity', 1), event(1, 'now', 0), event(1, 'now', 2 ** 60)];
  for (const sql of refused) expect([sql, (await errorOf(client.query(sql))).code]).toEqual([sql, '22023']);
  for (const sql of [head, row]) expect([sql, (await errorOf(client.query(sql))).code]).toEqual([sql, '23514']);
  await client.query(`begin; ${event(1, 'now', 1)}; rollback`);
});

/** What no door lets in; the relay and readers meet it all the same. */
async function ungated(sql: string, values: unknown[] = []): Promise<pg.QueryResult> {
  await client.query('set session_replication_role = replica');
  try {
    return await client.query(sql, values);
  } finally {
    await client.query('reset session_replication_role');
  }
}

const unreadable: [string, Partial<Row>][] = [
  ['a schema version', { shape: 70_000 }],
  ['a time', { at: '294276-01-01T00:00:00Z' }],
  ['no time', { at: 'infinity' }],
  ['a name', { name: 'x'.repeat(70_000) }],
  ['its data', { data: deep(300) }],
  ['metadata that is none', { metadata: '[]' }],
  ['its metadata', { metadata: `{"a":${deep(300)}}` }],
];

/** Between two good events of the same aggregate, all of them. Returns their ids. */
async function putAll(): Promise<string[]> {
  await client.end();
  await begun();
  const insert = (row: Row, version: number): Promise<pg.QueryResult> =>
    ungated(`${insertion.replace(', 1)', `, ${version})`)} returning id`, valuesOf(row));
  await insert(good, 1);
  const ids: string[] = [];
  for (const [i, [, change]] of unreadable.entries())
    ids.push((await insert({ ...good, ...change }, i + 2)).rows[0].id);
  await insert({ ...good, id: 'b' }, 1);
  await ungated(
    `insert into trunkline.aggregates (aggregate_type, aggregate_id, version, previous_version, first_occurred_at, last_occurred_at)
     select aggregate_type, aggregate_id, max(version), 0, min(occurred_at), max(occurred_at) from trunkline.domain_events group by 1, 2`,
  );
  return ids;
}

test('a tail and a store pass over each of them, name it once, and go on; who asks for its aggregate is told', async () => {
  const ids = await putAll();
  for (const pageSize of [1, 2, 100]) {
    const named: string[] = [];
    const onError = (error: { details: object }): void => void named.push((error.details as { id: string }).id);
    const seen: string[] = [];
    for await (const { event } of tailEvents({ connection: url, pollMs: 1, pageSize, onError })) {
      if (seen.push(event.aggregateId) === 2) break;
    }
    expect([seen, named.sort()]).toEqual([['a', 'b'], ids.toSorted()]);
    await using store = await openEventStore(postgres({ connectionString: url }));
    const found: string[] = [];
    for await (const { aggregateId } of store.query({ pageSize })) found.push(aggregateId);
    expect(found).toEqual(['a', 'b']);
    expect(await store.getByType('Sold')).toHaveLength(2);
    // More often than a server may fail before readers leave it alone.
    for (let i = 0; i < 5; i++) {
      const error = await errorOf(store.getByAggregate('stock', 'a'));
      expect(error).toMatchObject({ code: 'EventUnreadable', details: { id: expect.any(String) } });
    }
    expect(await store.getByAggregate('stock', 'b')).toHaveLength(1);
  }
});

test('the relay sets each of them aside, and relays what comes behind; the status of the store is told', async () => {
  const ids = await putAll();
  const insert =
    'insert into trunkline.outbox (sequence, id, occurred_at) select sequence, id, occurred_at from trunkline.domain_events';
  await client.query('alter table trunkline.outbox drop constraint outbox_times');
  await ungated(`${insert} where version > 1`);
  expect((await storeStatus(client, 'trunkline')).outbox).toMatchObject({ waiting: ids.length });
  const logged: string[] = [];
  const error = (details: { err: { details: { id: string } } }): void => void logged.push(details.err.details.id);
  const logger = { debug() {}, info() {}, warn() {}, error: error as never };
  const runtime = await startRuntime({ store: postgres({ connectionString: url }), shards: 1, logger });
  await client.query(`select trunkline.raise_event('stock', 'behind', 'Sold', '{}')`);
  await until(
    () => runtime.status().relay,
    (relay) => relay?.setAside === ids.length && relay.relayed === 1,
  );
  await runtime.reached('stored');
  expect(runtime.status().relay).toMatchObject({ state: 'relaying', lastError: undefined });
  const { rows } = await client.query('select id from trunkline.outbox where refused is not null order by id');
  expect(rows.map(({ id }) => id)).toEqual(ids.toSorted());
  for (let i = 0; i < 2; i++) for await (const _ of runtime.store.query());
  expect([logged.sort(), runtime.status().unreadable]).toEqual([ids.toSorted(), ids.length]);
});

test('the relay sets aside what is too large to be a value in memory, without making one of it, and goes on', async () => {
  await client.end();
  await begun();
  const insert = (row: Row): Promise<pg.QueryResult> => ungated(insertion, valuesOf(row));
  await insert({ ...good, id: 'data', data: objects(700_000) });
  await insert({ ...good, id: 'metadata', metadata: `{"a": ${objects(44_000)}}` });
  await insert({ ...good, id: 'blanks', data: `[${'0,'.repeat(1_000_000)}0]` }); // 3 MB of text, and 2 MB of values
  await insert({ ...good, id: 'digits', data: `[${'1e300,'.repeat(50_000)}0]` }); // 15 MB of text
  await client.query(
    'insert into trunkline.outbox (sequence, id, occurred_at) select sequence, id, occurred_at from trunkline.domain_events',
  );
  await using runtime = await startRuntime({ store: postgres({ connectionString: url }), shards: 1 });
  await until(
    () => runtime.status().relay,
    (relay) => relay?.setAside === 2 && relay.relayed === 2,
  );
  const { rows } = await client.query(
    'select d.aggregate_id as id, o.refused from trunkline.outbox o join trunkline.domain_events d using (id) where refused is not null order by 1',
  );
  expect(rows).toEqual([
    { id: 'data', refused: expect.stringContaining('its data is larger than') },
    { id: 'metadata', refused: expect.stringContaining('its metadata is larger than') },
  ]);
});

test('the history, which handlers and projections read, passes over each; a load names it, and others go on', async () => {
  const ids = await putAll();
  await ungated(`update trunkline.domain_events set log_id = 'a-log', position = sequence`);
  const { settings } = postgres({ connectionString: url });
  const named: string[] = [];
  const archive = new PostgresArchive(postgres({ connectionString: url }), (error) =>
    named.push((error as TrunklineError<'EventUnreadable'>).details.id),
  );
  const block = new ControlBlockWriter('flush');
  block.publish('stored', 100);
  const pages = archive.historyOf('a-log', block).scan(new EventFilter({}));
  for (const limit of [1, 2, 100]) {
    const seen: string[] = [];
    for (let next = 1; next <= 100; ) {
      const page = (await pages.page(next, 100, limit))!;
      seen.push(...page.events.map(({ aggregateId }) => aggregateId));
      next = page.next;
    }
    expect(seen).toEqual(['a', 'b']);
  }
  expect([named.sort(), archive.unreadable]).toEqual([ids.toSorted(), ids.length]);
  await archive.close();
  const reader = new PostgresAggregateReader(settings, 'a-log');
  for (let i = 0; i < 5; i++) {
    expect(await errorOf(reader.load('stock', 'a', '', 0, 1))).toMatchObject({ code: 'EventUnreadable' });
  }
  expect(await reader.load('stock', 'b', '', 0, 1)).toMatchObject({ version: 1, eventCount: 1 });
  await reader.close();
});

test('a month with one of them is archived whole, and dropped; its reader gets the others, then the name of that one', async () => {
  await client.end();
  await begun();
  await ungated(insertion, valuesOf(good));
  const { rows } = await ungated(`${insertion} returning id`, valuesOf({ ...good, data: deep(300) }));
  await ungated(insertion, valuesOf({ ...good, id: 'b' }));
  await client.query('update trunkline.domain_events set sequence = -sequence where aggregate_id = $1', ['b']);
  await keepPartitions(client, 'trunkline', 0);
  const folder = scratchFolder();
  const { file, events } = await archiveMonth(client, 'trunkline', '2024-05', folder);
  expect(events).toBe(3);
  const seen: string[] = [];
  const reading = (async () => {
    for await (const { aggregateId } of readArchive(file)) seen.push(aggregateId);
  })();
  const error = await errorOf(reading);
  expect(error).toMatchObject({ code: 'ArchiveDamaged', message: expect.stringContaining(rows[0].id) });
  expect(seen.sort()).toEqual(['a', 'b']);
  await archiveMonth(client, 'trunkline', '2024-05', folder); // again, over the first one
  await dropMonth(client, 'trunkline', '2024-05', folder, false);
  expect((await client.query('select from trunkline.domain_events')).rowCount).toBe(0);
});
