// How many months become partitions, whatever is asked for, and what the upkeep makes of partitions that others have attached: it never
// throws for one month, makes none across another's range, and loses no event.
import type pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { dropMonth } from '../../../src/adapters/postgres/partitions/month-archive.ts';
import { PartitionUpkeep } from '../../../src/adapters/postgres/partitions/upkeep.ts';
import { keepMonths } from '../../../src/adapters/postgres/schema/months.ts';
import { listPartitions, stateOf } from '../../../src/adapters/postgres/schema/partition-list.ts';
import { postgres } from '../../../src/index.ts';
import { elsewhere, migratedDatabase } from '../../postgres.ts';
import { randomFrom } from '../../random.ts';
import { errorOf } from '../../runtime/scratch.ts';
import { Clients } from './clients.ts';

let url: string;
const schema = elsewhere;
let client: pg.Client;
const clients = new Clients();

/** The first day of the month so many after this one, or any day in it. */
function at(months: number, day = 1): string {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months, day)).toISOString();
}
const month = (months: number): string => at(months).slice(0, 7);
const tableOf = (months: number): string => `domain_events_${month(months).replace('-', '_')}`;

const insert = (times: string): Promise<unknown> =>
  client.query(
    `insert into ${schema}.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data)
     select gen_random_uuid(), 'stock', 'a', row_number() over (), 'Sold', 1, t, '{}' from ${times}`,
  );
const insertAt = (...times: string[]): Promise<unknown> =>
  insert(`unnest(array['${times.join("', '")}']::timestamptz[]) t`);
const attach = (name: string, from: string, to: string): Promise<unknown> =>
  client.query(
    `create table ${schema}.${name} partition of ${schema}.domain_events for values from (${from}) to (${to})`,
  );
const count = async (sql: string): Promise<number> => (await client.query(sql)).rowCount!;
const partitions = (): Promise<number> =>
  count(`select from pg_inherits where inhparent = '${schema}.domain_events'::regclass`);
const make = (of: string, months: string): string =>
  `select count(${of}.make_partition(now() + make_interval(months => i)))::int as made from generate_series(${months}) i`;

beforeEach(async () => {
  url = await migratedDatabase(schema);
  client = await clients.connect(url);
});
afterEach(() => clients.end());

test('a role that may make months, and the owner, make those of the range and no others', async () => {
  const role = `maker_${process.pid}`;
  await client.query(`create role ${role}; grant usage on schema ${schema} to ${role};
    grant execute on function ${schema}.make_partition to ${role}; grant update on ${schema}.flush_checkpoints to ${role};
    set role ${role}`);
  for (const far of ['-12000, -241, 20', '25, 12000, 20', '-243, -241', '25, 27']) {
    expect([far, (await client.query(make(schema, far))).rows]).toEqual([far, [{ made: 0 }]]);
  }
  for (const odd of ['null', `'infinity'`, `'-infinity'`, `'4712-01-01 BC'`, `'0044-03-15 BC'`, `'250000-01-01'`]) {
    expect((await client.query(`select ${schema}.make_partition(${odd}) as made`)).rows).toEqual([{ made: null }]);
  }
  expect((await client.query(make(schema, '-240, -239'))).rows).toEqual([{ made: 2 }]);
  await client.query('reset role');
  for (const far of ['-12000, -241, 20', '25, 12000, 20']) {
    expect([far, (await client.query(make(schema, far))).rows]).toEqual([far, [{ made: 0 }]]);
  }
  expect((await client.query(make(schema, '23, 26'))).rows).toEqual([{ made: 2 }]);
  await client.query(`drop owned by ${role}; drop role ${role}`);
});

test('where there are 400 partitions, this month and the next three get theirs, and no other', async () => {
  for (let i = 0; i < 400; i += 40) {
    await client.query(`do $$ begin for i in ${i} .. ${i + 39} loop
      execute format('create table ${schema}.odd_%s partition of ${schema}.domain_events for values from (%L) to (%L)
        partition by range (occurred_at)',
        i, '1900-01-01'::date + i, '1900-01-02'::date + i); end loop; end $$`);
  }
  await insertAt(at(-5), at(0, 2), at(20));
  expect((await client.query(make(schema, '-3, -1'))).rows).toEqual([{ made: 0 }]);
  const { made, missing, inDefault, ownRanges, failures } = await keepMonths(client, schema, 3);
  expect([made, missing, inDefault, ownRanges.length]).toEqual([
    [0, 1, 2, 3].map(tableOf),
    [],
    [month(-5), month(20)],
    100,
  ]);
  expect(failures).toEqual(
    [-5, 20].map((one) =>
      expect.objectContaining({
        code: 'StoreSchemaMismatch',
        message: expect.stringContaining(`${month(one)} gets no partition: there are 400 partitions`),
      }),
    ),
  );
  expect((await client.query(make(schema, '4, 10'))).rows).toEqual([{ made: 0 }]);
  expect(await partitions()).toBe(405);
});

test('events of thousands of months beyond the range stay in the default partition, counted; those of the range are moved', async () => {
  await insert(`generate_series(now() - interval '400 years', now() - interval '21 years', interval '1 month') t`);
  await insert(`generate_series(now() + interval '3 years', now() + interval '300 years', interval '1 month') t`);
  const beyond = await count(`select from ${schema}.domain_events`);
  await insertAt(at(-240), at(-7, 3), at(-7, 28), at(24));
  const upkeep = new PartitionUpkeep(postgres({ connectionString: url, schema }).settings, () => {});
  await upkeep.keepOnce();
  expect(upkeep.status).toEqual({
    missingMonths: [],
    monthsInDefault: [],
    beyondRange: beyond,
    ownRanges: [],
    lastError: undefined,
  });
  await upkeep.stop();
  expect((await listPartitions(client, schema)).map(({ name, rows }) => [name, rows])).toEqual([
    [tableOf(-240), 1],
    [tableOf(-7), 2],
    ...[0, 1, 2, 3].map((one) => [tableOf(one), 0]),
    [tableOf(24), 1],
    ['domain_events_default', beyond],
  ]);
});

test('partitions of other ranges are left alone and named; the months that they leave are made', async () => {
  await attach('of_quarter', `'${at(1)}'`, `'${at(3)}'`);
  await attach('of_days', `'${at(-2, 10)}'`, `'${at(-2, 20)}'`);
  await attach('long_ago', 'minvalue', `'${at(-12)}'`);
  await attach(tableOf(-4), `'${at(-8)}'`, `'${at(-6)}'`); // the name of another month
  await client.query(`create view ${schema}.${tableOf(-5)} as select 1`);
  const times = [at(-14), at(-7, 5), at(-5, 5), at(-4, 5), at(-3, 5), at(-2, 5), at(-2, 15), at(0, 1), at(2, 5)];
  await insertAt(...times);
  const before = await listPartitions(client, schema);
  const { made, missing, inDefault, ownRanges, failures } = await keepMonths(client, schema, 3);
  expect([made, missing]).toEqual([[tableOf(-3), tableOf(0), tableOf(3)], []]);
  expect([inDefault, ownRanges]).toEqual([
    [month(-5), month(-4), month(-2)],
    [tableOf(-4), 'long_ago', 'of_days', 'of_quarter'],
  ]);
  expect(failures).toHaveLength(3);
  for (const failure of failures) expect(failure).toMatchObject({ code: 'StoreSchemaMismatch' });
  const after = new Map((await listPartitions(client, schema)).map((one) => [one.name, one]));
  for (const one of before) if (one.month === undefined && one.range) expect(after.get(one.name)).toEqual(one);
  expect(await count(`select from ${schema}.domain_events`)).toBe(times.length);
  // By its name it would be a month that an archive and a drop take for another.
  expect(after.get(tableOf(-4))).toMatchObject({ rows: 1, range: expect.stringContaining(at(-8).slice(0, 10)) });
  expect(after.get(tableOf(-4))!.month).toBe(undefined);
  expect(await errorOf(dropMonth(client, schema, month(-4), undefined, true))).toMatchObject({
    code: 'StoreSchemaMismatch',
  });
});

test('a default partition that is detached is not ours to empty; the months ahead are made', async () => {
  await insertAt(at(-3, 5));
  await client.query(`alter table ${schema}.domain_events detach partition ${schema}.domain_events_default`);
  const { made, failures } = await keepMonths(client, schema, 1);
  expect(made).toEqual([0, 1].map(tableOf));
  expect(failures).toEqual([expect.objectContaining({ code: 'StoreSchemaMismatch' })]);
  await client.query(`drop table ${schema}.domain_events_default`);
  expect((await keepMonths(client, schema, 2)).made).toEqual([]);
  expect(await count(`select from ${schema}.domain_events`)).toBe(0);
});

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  'whatever partitions there are, the upkeep keeps every event and every range (seed %i)',
  async (seed) => {
    const next = randomFrom(seed);
    const below = (most: number): number => Math.floor(next() * most);
    for (let i = 0; i < 10; i++) {
      const start = below(14) - 10;
      const [day, lasts] = [below(2) === 0 ? 1 : 1 + below(28), 1 + below(60)];
      const from = at(start, day);
      const to = below(2) === 0 ? at(start + 1 + below(2)) : at(start, day + lasts);
      const name = below(2) === 0 ? tableOf(below(14) - 10) : `odd_${i}`;
      if (below(4) === 0) await client.query(`create table ${schema}.${name} ()`).catch(() => {});
      else await attach(name, `'${from}'`, `'${to}'`).catch(() => {}); // it overlaps one, or has its name
    }
    await insertAt(...Array.from({ length: 120 }, () => at(below(16) - 12, 1 + below(28))));
    const all = `select id::text, occurred_at from ${schema}.domain_events order by id`;
    const others = `select partition_oid, range_start, range_end from ${schema}.partition_ranges()`;
    const { rows: events } = await client.query(all);
    const { rows: ranges } = await client.query(others);
    const { failures } = await keepMonths(client, schema, 3);
    for (const failure of failures) expect(failure).toMatchObject({ code: 'StoreSchemaMismatch' });
    expect((await client.query(all)).rows).toEqual(events);
    expect((await client.query(others)).rows).toEqual(expect.arrayContaining(ranges));
    const again = await keepMonths(client, schema, 3);
    expect(again.made).toEqual([]);
    // What has not been moved could not be; what could be made has been.
    for (let i = -12; i <= 3; i++) {
      const { state } = await stateOf(client, schema, month(i));
      const inDefault = again.inDefault.includes(month(i));
      expect([i, state, inDefault]).toEqual([i, inDefault ? 'taken' : state, inDefault]);
      if (i >= 0) expect([i, state]).toEqual([i, expect.stringMatching(/there|covered|taken/)]);
      expect([i, again.missing.includes(month(i))]).toEqual([i, i >= 0 && state === 'taken']);
    }
  },
);
