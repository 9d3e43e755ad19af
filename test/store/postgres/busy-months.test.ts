// Months that cannot be made since a transaction of others is open: all who insert or read wait behind each try at the lock. So a
// try is short, the turn ends at the first month, and what is told names the transaction.
import type pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MonthSet, Partitions } from '../../../src/adapters/postgres/partitions/partitions.ts';
import { keepMonths } from '../../../src/adapters/postgres/schema/months.ts';
import { listPartitions } from '../../../src/adapters/postgres/schema/partition-list.ts';
import { elsewhere, migratedDatabase } from '../../postgres.ts';
import { Clients } from './clients.ts';

const schema = elsewhere;
const clients = new Clients();
let url: string;
let client: pg.Client;
const past = 6;

beforeEach(async () => {
  url = await migratedDatabase(schema);
  client = await clients.connect(url);
  await keepMonths(client, schema, 0);
  await client.query(
    `insert into ${schema}.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data)
     select gen_random_uuid(), 'stock', 'a', i, 'Sold', 1, date_trunc('month', now()) - make_interval(months => i), '{}'
     from generate_series(1, ${past}) i`,
  );
});
afterEach(() => clients.end());

/** The texts that are sent while `work` runs. */
async function sentWhile(work: () => Promise<unknown>): Promise<string[]> {
  const sent: string[] = [];
  const real = client.query.bind(client) as (...args: unknown[]) => unknown;
  client.query = ((...args: unknown[]) => {
    sent.push(typeof args[0] === 'string' ? args[0] : (args[0] as { text: string }).text);
    return real(...args);
  }) as typeof client.query;
  await work();
  client.query = real as typeof client.query;
  return sent;
}

test.each([
  ['writes', `lock table only ${schema}.domain_events in row exclusive mode`],
  ['reads', `select count(*) from ${schema}.domain_events`],
])('a transaction that %s and stays open', async (_, sql) => {
  const holder = await clients.connect(url, 'a dump');
  await holder.query(`begin; ${sql}`);
  const pid = (holder as unknown as { processID: number }).processID;
  let kept = await keepMonths(client, schema, 0);
  const sent = await sentWhile(async () => {
    kept = await keepMonths(client, schema, 0);
  });
  expect(kept.made).toEqual([]);
  expect(kept.inDefault).toHaveLength(past);
  expect(kept.failures).toMatchObject([
    { code: 'StoreUnavailable', message: expect.stringContaining(`pid ${pid}`), cause: { code: '55P03' } },
  ]);
  expect(kept.failures[0]).toMatchObject({ message: expect.stringContaining(kept.inDefault[0]!) });
  // One month was tried, and no lock waited for beyond a moment.
  const tables = sent.filter((text) => text.startsWith('create table'));
  expect(new Set(tables).size).toBe(1);
  expect(sent.filter((text) => text.startsWith('lock table')).length).toBeLessThan(10);
  const bounds = sent.flatMap((text) => Array.from(text.matchAll(/lock_timeout = (\d+)/g), ([, ms]) => Number(ms)));
  expect(Math.max(...bounds)).toBeLessThanOrEqual(100);
  expect(Math.min(...bounds)).toBeGreaterThan(0);
  await holder.query('rollback');
  const made: string[] = [];
  expect((await keepMonths(client, schema, 0, (name) => made.push(name))).failures).toEqual([]);
  expect(made).toHaveLength(past);
});

test('a transaction that writes keeps no month ahead from being made', async () => {
  const holder = await clients.connect(url);
  await holder.query(`begin; lock table only ${schema}.domain_events in row exclusive mode`);
  const { made, missing, failures } = await keepMonths(client, schema, 3);
  expect([made.length, missing, failures.length]).toEqual([3, [], 1]);
});

test('of the partitions that are there only the default one is waited for', async () => {
  await keepMonths(client, schema, 1);
  const holder = await clients.connect(url);
  const [there] = await listPartitions(client, schema);
  await holder.query(`begin; select from ${schema}.${there!.name}`); // one month, past domain_events
  await client.query(
    `insert into ${schema}.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data)
     values (gen_random_uuid(), 'stock', 'late', 1, 'Sold', 1, date_trunc('month', now()) - interval '1 year', '{}')`,
  );
  const { made, failures } = await keepMonths(client, schema, 1);
  expect([made.length, failures]).toEqual([1, []]);
});

test('a flusher leaves all months alone once a lock has held one up', async () => {
  const holder = await clients.connect(url);
  await holder.query(`begin; lock table only ${schema}.domain_events in row exclusive mode`);
  const heldUp: unknown[] = [];
  const partitions = new Partitions(schema, (error) => heldUp.push(error));
  const now = new Date();
  const months = new MonthSet();
  for (let i = 20; i < 30; i++) months.add(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - i, 1));
  const sent = await sentWhile(async () => {
    for (let flush = 0; flush < 3; flush++) await partitions.prepare(client, months.months, Date.now());
  });
  expect(heldUp).toMatchObject([{ code: '55P03' }]);
  expect(sent.filter((text) => text.includes('make_partition')).length).toBeLessThan(7);
  await holder.query('rollback');
});
