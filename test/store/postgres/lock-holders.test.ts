// Who is named as the holder of a lock that a flush has waited for in vain.
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PostgresSink } from '../../../src/adapters/postgres/flush/sink.ts';
import { lockedByOthers } from '../../../src/adapters/postgres/session/lock-holders.ts';
import { migrate, postgres } from '../../../src/index.ts';
import { PostgresServer } from '../../postgres-server.ts';
import { errorOf, until } from '../../runtime/scratch.ts';
import { Clients } from './clients.ts';

const long = { timeout: 120_000 }; // a server of its own on a machine that may be busy
const clients = new Clients();
let server: PostgresServer;
let flush: pg.Client;

beforeAll(async () => {
  server = await PostgresServer.start(['max_prepared_transactions=2']);
  await migrate({ connection: server.url() });
  flush = await clients.connect(server.url());
  await flush.query(`create role flusher login password 'trunkline'; create role billing login password 'trunkline';
    grant usage on schema trunkline to flusher, billing;
    grant select, insert, update, delete on all tables in schema trunkline to flusher, billing;
    insert into trunkline.aggregates (aggregate_type, aggregate_id, version, previous_version, first_occurred_at, last_occurred_at)
      select 'counter', n, 1, 0, now(), now() from generate_series(1, 5) n`);
  await flush.end();
  flush = await clients.connect(server.url('postgres', 'flusher'), 'trunkline flush');
}, 120_000);
afterAll(async () => {
  await clients.end();
  await server.stop();
});

const told = async (): Promise<string> =>
  (await lockedByOthers(flush, pg.escapeIdentifier('trunkline'), undefined)).details.cause;
const pidOf = (client: pg.Client): number => (client as unknown as { processID: number }).processID;
const lockOf = (id: number): string =>
  `begin; select from trunkline.aggregates where aggregate_id = '${id}' for no key update`;
const intro = 'a transaction of others locks what the flush needs; it may be ';

test(
  'sessions are named that hold locks on our tables, not those that read; what is hidden is said to be',
  long,
  async () => {
    expect(await told()).toBe('a transaction of others locked what the flush needs, and has ended since');
    const reader = await clients.connect(server.url(), 'a reader');
    await reader.query('begin; select from trunkline.aggregates');
    const own = await clients.connect(server.url('postgres', 'flusher'), "it's\tours");
    await own.query(lockOf(1));
    expect(await told()).toMatch(
      RegExp(
        `^${intro}pid ${pidOf(own)} \\(role flusher, application 'it's\\?ours', open for \\d+ s\\)$`.replace(
          '\\?',
          '.{1,4}',
        ),
      ),
    );
    await own.query('rollback');
    const foreign = await clients.connect(server.url('postgres', 'billing'), 'invoices');
    await foreign.query(lockOf(1));
    const hidden = 'our role may not see for how long it has been open';
    expect(await told()).toBe(`${intro}pid ${pidOf(foreign)} (role billing, application 'invoices', ${hidden})`);
    await foreign.query('rollback; begin; lock table trunkline.domain_events in share mode');
    expect(await told()).toBe(`${intro}pid ${pidOf(foreign)} (role billing, application 'invoices', ${hidden})`);
    await foreign.query('rollback');
    await reader.query('rollback');
  },
);

test('a bounded number, the oldest writer first, and one that waits itself behind those', long, async () => {
  const holders: pg.Client[] = [];
  for (const n of [1, 2, 3, 4]) {
    const client = await clients.connect(server.url('postgres', 'billing'), `holder ${n}`);
    await client.query(lockOf(n));
    holders.push(client);
  }
  const waiting = clients.connect(server.url('postgres', 'billing'), 'waiting');
  const waiter = await waiting;
  const waits = waiter.query(`${lockOf(5)}; select from trunkline.aggregates where aggregate_id = '1' for update`);
  const all = await until(told, (text) => text.endsWith('; and 2 more'));
  const names = [...all.matchAll(/application '([^']*)'/g)].map(([, name]) => name);
  expect(names).toEqual(['holder 1', 'holder 2', 'holder 3']);
  for (const client of holders) await client.query('rollback');
  await waits;
  await waiter.query('rollback');
});

test('a prepared transaction, which has no session', long, async () => {
  const client = await clients.connect(server.url('postgres', 'billing'), 'invoices');
  await client.query(lockOf(1));
  await client.query("prepare transaction 'bill 7'");
  await client.end();
  expect(await told()).toMatch(RegExp(`^${intro}prepared transaction 'bill 7' \\(role billing, open for \\d+ s\\)$`));
  await (await clients.connect(server.url('postgres', 'billing'))).query("rollback prepared 'bill 7'");
});

test(
  "a lock of the checkpoint's row is said when a flush begins, too, also within a short statement time",
  long,
  async () => {
    const holder = await clients.connect(server.url(), 'a visitor');
    await holder.query("begin; insert into trunkline.flush_checkpoints (log_id, position) values ('ours', 0)");
    const { settings } = postgres({ connectionString: server.url(), statementTimeoutMs: 1000 });
    const sink = new PostgresSink(settings, 'ours', 0, { quarantined() {} });
    expect(await errorOf(sink.open())).toMatchObject({
      code: 'StoreUnavailable',
      details: { cause: expect.stringContaining(`pid ${pidOf(holder)} (role postgres, application 'a visitor'`) },
    });
    await holder.query('rollback');
    expect(await sink.open()).toBe(0);
    await sink.close();
  },
);
