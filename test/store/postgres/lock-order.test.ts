// Whoever moves heads of several aggregates locks them in one order, by the bytes of type and id: two of them, whatever order
// their events came in, never wait for each other in a circle. Each writer is held at the first head of that order; none of
// the others may be locked by then.
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HeadStatements } from '../../../src/adapters/postgres/flush/heads.ts';
import type { Entry, Run } from '../../../src/adapters/postgres/flush/plan.ts';
import { LogReaders } from '../../../src/adapters/postgres/handlers/log-readers.ts';
import { builtMark } from '../../../src/adapters/postgres/handlers/row-table.ts';
import { PostgresTraces } from '../../../src/adapters/postgres/handlers/traces.ts';
import { PostgresAppend } from '../../../src/adapters/postgres/outbox/append.ts';
import { lockNames, lockSql } from '../../../src/adapters/postgres/session/locks-sql.ts';
import { OutboxHints } from '../../../src/entity/outbox-door.ts';
import { Transactions } from '../../../src/entity/transactions.ts';
import { postgres } from '../../../src/index.ts';
import { migratedDatabase } from '../../postgres.ts';
import { until } from '../../runtime/scratch.ts';

// In byte order. In many a language 'a' comes before 'B'.
const ids = ['B', 'C', 'a', 'b', 'ä'];
const logId = 'this-log';
let connectionString: string;
let holder: pg.Client;
let writer: pg.Client;
let prober: pg.Client;
let writerPid: number;

beforeAll(async () => {
  connectionString = await migratedDatabase();
  [holder, writer, prober] = [1, 2, 3].map(() => new pg.Client({ connectionString })) as [
    pg.Client,
    pg.Client,
    pg.Client,
  ];
  for (const client of [holder, writer, prober]) await client.connect();
  writerPid = (await writer.query('select pg_backend_pid() as pid')).rows[0].pid;
});
afterAll(() => Promise.all([holder, writer, prober].map((client) => client.end())));

const run = (id: string, first: number, isWhole: boolean): Run => ({
  ...{ type: 'call', id, first, last: first, isWhole, lastPosition: 100 },
  ...{ firstAt: 0, lastAt: 0, snapshot: -1 },
});

/** As a flush would, of a batch with one event each. */
async function flush(from: readonly string[], isWhole: boolean): Promise<void> {
  const runs = from.map((id) => run(id, 2, isWhole));
  const entries = runs.map((of): Entry => ({ offset: 0, position: 100, version: 2, run: of }));
  await writer.query('savepoint heads');
  await new HeadStatements('trunkline', logId).decide(writer, entries, runs);
}

const transactions = new Transactions(new PostgresAppend('trunkline'), new Map(), new OutboxHints());
const append = (from: readonly string[]): Promise<unknown> =>
  transactions.append(
    writer,
    from.map((id) => ({ aggregateType: 'call', aggregateId: id, type: 'Rung', data: {} })),
  );

const writers: [string, string | null, (from: readonly string[]) => Promise<unknown>][] = [
  ['a flush', logId, (from) => flush(from, true)],
  ['a flush that decides event by event', logId, (from) => flush(from, false)],
  ['a flush of what another log has', 'another-log', (from) => flush(from, true)],
  ['saveWithTx', null, append],
];

test.each(writers)('%s', async (_, owner, write) => {
  const orders = [ids.toReversed(), ['b', 'ä', 'B', 'a', 'C']];
  for (const order of orders) {
    await holder.query('delete from trunkline.aggregates');
    await holder.query(
      `insert into trunkline.aggregates (aggregate_type, aggregate_id, version, previous_version, log_id, position,
         first_occurred_at, last_occurred_at)
       select 'call', id, 1, 0, $2, 1, now(), now() from unnest($1::text[]) id`,
      [order, owner],
    );
    await holder.query(`begin; update trunkline.aggregates set updated_at = now() where aggregate_id = '${ids[0]}'`);
    await writer.query('begin');
    const writing = write(order).then(
      () => {},
      (error: unknown) => error,
    );
    await until(
      () => prober.query('select cardinality(pg_blocking_pids($1)) > 0 as waits', [writerPid]),
      ({ rows }) => rows[0].waits === true,
    );
    const { rows: free } = await prober.query(
      'select aggregate_id as id from trunkline.aggregates order by aggregate_id collate "C" for update skip locked',
    );
    expect(free.map(({ id }) => id)).toEqual(ids.slice(1));
    await holder.query('rollback');
    await writing;
    await writer.query('rollback');
  }
});

test('who forgets a projection locks as one that runs does: the projection, then its tables; readers by their names', async () => {
  const { settings } = postgres({ connectionString });
  const traces = new PostgresTraces(settings, logId);
  await holder.query(
    `create table public.built (key text primary key);
     comment on table public.built is ${pg.escapeLiteral(`${builtMark({ logId, projection: 'p' })}"public","rows",1]`)};
     insert into trunkline.log_readers (log_id, name, position) values ('${logId}', 'b', 1), ('${logId}', 'a', 1)`,
  );
  const waits = (): Promise<unknown> =>
    until(
      () =>
        prober.query(`select from pg_stat_activity where application_name in ('trunkline forget', 'trunkline readers')
        and datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0`),
      ({ rowCount }) => rowCount === 1,
    );
  const free = (sql: string): Promise<unknown> =>
    prober.query(`begin; set local lock_timeout = '1s'; ${sql}; rollback`);
  // Held at the projection, it holds no table yet.
  await holder.query(`begin; ${lockSql('trunkline', lockNames.projection(logId, 'p'))}`);
  const forgetting = traces.remove('p', []);
  await waits();
  await free('lock table public.built in access exclusive mode nowait');
  await holder.query('rollback');
  await forgetting;
  expect((await prober.query(`select to_regclass('public.built') as built`)).rows).toEqual([{ built: null }]);
  // Held at the first reader by name, neither holds one behind it.
  const readers = new LogReaders(settings, logId, () => {});
  const store = {
    range: async () => ['b', 'c'].map((key) => ({ key, json: '{"low":2}' })),
  } as unknown as Parameters<typeof readers.follow>[0];
  for (const change of [() => traces.remove(undefined, ['b']), () => readers.follow(store)]) {
    await holder.query(`begin; update trunkline.log_readers set position = position where name = 'a'`);
    const changing = change();
    await waits();
    await free(`select from trunkline.log_readers where name = 'b' for update nowait`);
    await holder.query('rollback');
    await changing;
  }
  await until(
    () => prober.query('select name from trunkline.log_readers order by 1'),
    ({ rows }) => rows.map(({ name }) => name).join() === 'b,c',
  );
  await readers.close();
});
