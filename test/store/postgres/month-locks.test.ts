// Months are made and dropped under locks that are held from before the look until the act is committed: whoever comes to
// write, to read or to make one meanwhile is waited for, or waits.
import '../../leap.ts';

import type pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { archiveMonth, dropMonth } from '../../../src/adapters/postgres/partitions/month-archive.ts';
import { Partitions } from '../../../src/adapters/postgres/partitions/partitions.ts';
import { keepPartitions } from '../../../src/adapters/postgres/schema/months.ts';
import { listPartitions } from '../../../src/adapters/postgres/schema/partition-list.ts';
import { lockNames, lockSql } from '../../../src/adapters/postgres/session/locks-sql.ts';
import { pass } from '../../leap.ts';
import { elsewhere, migratedDatabase } from '../../postgres.ts';
import { errorOf, scratchFolder, until } from '../../runtime/scratch.ts';
import { Clients } from './clients.ts';

let url: string;
const schema = elsewhere;
let client: pg.Client;
const clients = new Clients();

const connected = (): Promise<pg.Client> => clients.connect(url);

/** Before the client's next statement that begins so, `work` is done. */
function before(start: string, work: () => Promise<void>): void {
  const real = client.query.bind(client) as (...args: unknown[]) => unknown;
  client.query = ((...args: unknown[]) => {
    if (typeof args[0] !== 'string' || !args[0].startsWith(start)) return real(...args);
    client.query = real as typeof client.query;
    return work().then(() => real(...args));
  }) as typeof client.query;
}

const insert = (on: pg.Client, month: string, count: number): Promise<unknown> =>
  on.query(
    `insert into ${schema}.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data)
     select gen_random_uuid(), 'stock', 'a', i, 'Sold', 1, $1::timestamptz, '{}' from generate_series(1, $2::int) i`,
    [`${month}-01T00:00:00Z`, count],
  );

beforeEach(async () => {
  url = await migratedDatabase(schema);
  client = await connected();
});
afterEach(() => clients.end());

test('while another upkeep is at work, neither makes a month: each looks and acts under its lock', async () => {
  const [another, flusher] = [await connected(), await connected()];
  const make = async (): Promise<string | null> =>
    (await flusher.query(`select ${schema}.make_partition(now()) as made`)).rows[0].made;
  await another.query(`begin; ${lockSql(schema, lockNames.upkeep)}`);
  expect([await keepPartitions(client, schema, 2), await make()]).toEqual([[], null]);
  expect((await listPartitions(client, schema)).filter(({ month }) => month !== undefined)).toEqual([]);
  await another.query('rollback');
  expect([typeof (await make()), await keepPartitions(client, schema, 2)]).toMatchObject(['string', { length: 2 }]);
});

test('a transaction that has raised an event and stays open keeps no month ahead from being made, and goes on', async () => {
  await keepPartitions(client, schema, 0);
  const raising = await connected();
  await raising.query(`begin; select ${schema}.raise_event('stock', 'a', 'Sold', '{}')`);
  expect(await keepPartitions(client, schema, 2)).toHaveLength(2);
  await raising.query(`select ${schema}.raise_event('stock', 'a', 'Sold', '{}'); commit`);
  const { rows } = await client.query(
    `select to_char(now() + interval '1 month', 'YYYY-MM') as next, to_char(now() + interval '2 months', 'YYYY-MM') as last`,
  );
  for (const month of Object.values(rows[0] as Record<string, string>)) await insert(client, month, 1);
  expect((await listPartitions(client, schema)).map((one) => one.rows)).toEqual([2, 1, 1, 0]);
});

test('a flusher that is held up at a month says so, and tries again later', async () => {
  const [holder, flusher] = [await connected(), await connected()];
  await holder.query(`begin; lock table only ${schema}.domain_events in row exclusive mode`); // as an insert does
  const heldUp: unknown[] = [];
  const partitions = new Partitions(schema, (error) => heldUp.push(error));
  await flusher.query(`set lock_timeout = '50ms'`);
  const real = flusher.query.bind(flusher) as (...args: any[]) => any;
  flusher.query = ((...args: any[]) =>
    real(
      typeof args[0] === 'string' ? args[0].replace(/lock_timeout = \d+/, 'lock_timeout = 50') : args[0],
      args[1],
    )) as never;
  const months = async (): Promise<number> => (await listPartitions(client, schema)).length - 1;
  await partitions.prepare(flusher, new Set(), Date.now());
  await partitions.prepare(flusher, new Set(), Date.now());
  expect([heldUp, await months()]).toEqual([[expect.objectContaining({ code: '55P03' })], 1]); // the one ahead
  await holder.query('rollback');
  pass(61_000);
  await partitions.prepare(flusher, new Set(), Date.now());
  expect([heldUp.length, await months()]).toEqual([1, 2]);
});

test('who inserts while the flusher makes the month waits before the partition is chosen, and does not fail', async () => {
  const [flusher, writer] = [await connected(), await connected()];
  await flusher.query(`begin; select ${schema}.make_partition(now())`);
  const { rows } = await writer.query('select pg_backend_pid() as pid');
  const inserting = insert(writer, new Date().toISOString().slice(0, 7), 1).then(
    () => undefined,
    (error: unknown) => error,
  );
  await until(
    () => client.query('select cardinality(pg_blocking_pids($1)) > 0 as waits', [rows[0].pid]),
    (found) => found.rows[0].waits === true,
  );
  await flusher.query('commit');
  expect(await inserting).toBeUndefined();
  expect((await listPartitions(client, schema)).map((one) => one.rows)).toEqual([1, 0]);
});

test('whoever comes to need a month until it is locked is asked: a reader, a log, one that changes it', async () => {
  await insert(client, '2024-05', 10);
  await client.query(`update ${schema}.domain_events set log_id = 'one', position = version * 10`);
  await keepPartitions(client, schema, 0);
  const folder = scratchFolder();
  await archiveMonth(client, schema, '2024-05', folder);
  const other = await connected();
  const { log_readers, outbox, domain_events } = Object.fromEntries(
    ['log_readers', 'outbox', 'domain_events'].map((table) => [table, `${schema}.${table}`]),
  ) as Record<string, string>;
  const latecomers = [
    [`insert into ${log_readers} (log_id, name, position) values ('one', 'late', 50)`, `delete from ${log_readers}`],
    [
      `insert into ${outbox} (sequence, id, occurred_at) select sequence, id, occurred_at from ${domain_events} limit 1`,
      `delete from ${outbox}`,
    ],
    [`update ${domain_events} set data = data where version = 3`, 'select 1'],
  ] as const;
  for (const [comes, goes] of latecomers) {
    let hasCome = false;
    before('lock table', async () => {
      await other.query(comes);
      hasCome = true;
    });
    const dropped = dropMonth(client, schema, '2024-05', folder, false);
    expect(await errorOf(dropped), comes).toMatchObject({ code: 'PartitionNeeded' });
    expect(hasCome).toBe(true);
    await other.query(goes);
  }
  // Behind the look nobody gets into it any more.
  await other.query(`set lock_timeout = '50ms'`);
  let late: unknown;
  before('delete from', async () => {
    late = await errorOf(insert(other, '2024-05', 1));
  });
  await dropMonth(client, schema, '2024-05', folder, false);
  expect(late).toMatchObject({ code: '55P03' });
  expect((await listPartitions(client, schema)).map(({ month }) => month)).not.toContain('2024-05');
});
