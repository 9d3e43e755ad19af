// Handlers with a transaction of their own in PostgreSQL: effects there happen once, whatever fails, is killed or goes away.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { beforeEach, expect, test } from 'vitest';
import { lockNames, lockSql } from '../../src/adapters/postgres/session/locks-sql.ts';
import type { Runtime, RuntimeOptions, Subscription } from '../../src/index.ts';
import { postgres } from '../../src/index.ts';
import { administer } from '../postgres.ts';
import { PostgresServer } from '../postgres-server.ts';
import { commits, TcpProxy } from '../proxy.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, startSmall as startEmbedded, until } from '../runtime/scratch.ts';
import { anotherDatabase, schemaOf, startBeside } from './stores.ts';

const startRuntime = startBeside;
const retry = { attempts: 4, minDelayMs: 0, maxDelayMs: 1 };
const insert = 'insert into sums (aggregate_id, version) values ($1, $2)';
let url: string;

beforeEach(async () => {
  url = await anotherDatabase();
  await administer(url, 'create table sums (aggregate_id text, version int, seen timestamptz default now())');
});

const caughtUp = (runtime: Runtime, subscription: Subscription): Promise<void> =>
  subscription.caughtUpTo(runtime.status().written);

/** Versions in the table, of one aggregate, in order. */
const versions = async (id: string, of: string = url): Promise<number[]> =>
  (await administer(of, 'select version from sums where aggregate_id = $1 order by version', [id])).map(
    ({ version }) => version,
  );

const left = async (dataDir: string): Promise<number> => {
  const sql = `select count(*)::int as count from ${schemaOf(dataDir)}.handler_entries where table_name = 'handled'`;
  return (await administer(url, sql))[0].count;
};

test('effects through the client happen once: with failures after them, time-outs, side by side, and leave nothing', async () => {
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir });
  const late: string[] = [];
  const subscription = runtime.subscribe({
    name: 'sums',
    retry,
    breaker: false,
    timeoutMs: 1_000,
    async handle({ aggregateId, version }, { tx, attempt }) {
      const client = await tx.client();
      await client.query(insert, [aggregateId, version]);
      if (attempt === 1 && version % 3 === 0) throw new Error('after its effects');
      if (attempt === 1 && aggregateId === 'once-a' && version === 4) {
        await new Promise((resolve) => setTimeout(resolve, 1_100)); // out of time, and goes on all the same
        try {
          await client.query(insert, [aggregateId, 99]);
        } catch (error) {
          late.push((error as Error).message);
        }
      }
      if (attempt === 1 && version === 5) await client.query('select 1 / 0').catch(() => {}); // and goes on
    },
  });
  await Promise.all(
    ['once-a', 'once-b', 'once-c'].flatMap((id) => Array.from({ length: 10 }, () => runtime.ref(Counter, id).add(1))),
  );
  await caughtUp(runtime, subscription);
  for (const id of ['once-a', 'once-b', 'once-c']) expect(await versions(id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  await until(
    () => late,
    (told) => told.length === 1,
  );
  expect(late[0]).toMatch(/this attempt has ended/);
  expect(subscription.status()).toMatchObject({ deadLetters: 0, failures: 3 * 3 + 1 + 3 });
  await until(
    () => left(dataDir),
    (count) => count === 0,
  );
});

test('in a batch, in a letter that is handled again, by runtime.once; a rehearsal leaves nothing', async () => {
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir });
  let broken = true;
  const batched = runtime.subscribe({
    name: 'batched',
    batch: { max: 7, maxDelayMs: 2 },
    retry: { attempts: 2, minDelayMs: 0 },
    async handle(events, { tx }) {
      const client = await tx.client();
      for (const { aggregateId, version } of events) await client.query(insert, [aggregateId, version]);
      if (broken && events.some(({ version }) => version === 8)) throw new Error('not yet');
    },
  });
  for (let i = 0; i < 10; i++) await runtime.ref(Counter, 'batch').add(1);
  await caughtUp(runtime, batched);
  expect(await versions('batch')).toEqual([1, 2, 3, 4, 5, 6, 7]);
  const letters = await runtime.deadLetters.list();
  expect(letters.map(({ event }) => event.version)).toEqual([8, 9, 10]);
  broken = false;
  expect(await runtime.deadLetters.requeue({ all: true }, { dryRun: true })).toMatchObject(
    letters.map(() => ({ outcome: 'would succeed' })),
  );
  expect(await versions('batch')).toHaveLength(7);
  await runtime.deadLetters.requeue({ all: true });
  await until(
    () => batched.status().deadLetters,
    (count) => count === 0,
  );
  expect(await versions('batch')).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  await until(
    () => left(dataDir),
    (count) => count === 0,
  );
  let calls = 0;
  const pay = (): Promise<number> =>
    runtime.once('pay', async (tx) => {
      await (await tx.client()).query(insert, ['paid', ++calls]);
      return calls * 10;
    });
  expect(await Promise.all([pay(), pay()])).toEqual([10, 10]);
  expect(await pay()).toBe(10);
  expect(await versions('paid')).toEqual([1]);
  const failed = runtime.once('other', async (tx) => {
    await (await tx.client()).query(insert, ['failed', 1]);
    throw new Error('no');
  });
  expect((await errorOf(failed)).message).toBe('no');
  expect(await versions('failed')).toEqual([]);
});

test('bad use is refused: another store, both kinds of effects, ending the transaction', async () => {
  const embedded = await startEmbedded();
  expect(await errorOf(embedded.once('k', (tx) => tx.client()))).toMatchObject({
    code: 'InvalidOptions',
    details: { option: 'tx.client' },
  });
  const runtime = await startRuntime();
  const refused = async (effect: (tx: any) => Promise<unknown>): Promise<string> =>
    (await errorOf(runtime.once('k', effect))).code;
  const both = async (tx: any): Promise<void> => {
    tx.put('t', 'k', 1);
    await tx.client();
  };
  expect(await refused(both)).toBe('InvalidOptions');
  expect(await refused(async (tx) => (await tx.client()) && tx.put('t', 'k', 1))).toBe('InvalidOptions');
  for (const text of ['commit', ' ROLLBACK;', 'end', 'begin', { text: 'abort', values: [] }]) {
    expect(await refused(async (tx) => (await tx.client()).query(text))).toBe('InvalidOptions');
  }
  const savepoint = runtime.once('savepoint', async (tx) => {
    const client = await tx.client();
    await client.query('savepoint before');
    await client.query('select 1 / 0').catch(() => {});
    await client.query('rollback to savepoint before');
    await client.query(insert, ['savepoint', 1]);
  });
  await savepoint;
  expect(await versions('savepoint')).toEqual([1]);
  const goesOn = runtime.once('aborted', async (tx) => {
    await (await tx.client()).query('select 1 / 0').catch(() => {});
  });
  expect((await errorOf(goesOn)).code).toBe('TransactionRolledBack');
});

test('a connection that is cut at COMMIT, before the server hears of it or when it has answered: done once', async () => {
  await using proxy = await TcpProxy.before(Number(new URL(url).port));
  const dataDir = scratchFolder();
  const store = postgres({ connectionString: proxy.through(url), schema: schemaOf(dataDir), migrate: true });
  const runtime = await startRuntime({ dataDir, store });
  const cutAt = new Map<number, 'before' | 'after'>([
    [3, 'before'],
    [5, 'after'],
    [6, 'after'],
    [9, 'before'],
  ]);
  const subscription = runtime.subscribe({
    name: 'cut',
    retry: { attempts: 1 },
    breaker: false,
    async handle({ aggregateId, version }, { tx }) {
      const client = await tx.client();
      await client.query(insert, [`cut-${aggregateId}`, version]);
      const at = cutAt.get(version);
      if (!at) return;
      cutAt.delete(version);
      proxy.set({ matches: commits, at });
    },
  });
  for (let i = 0; i < 10; i++) await runtime.ref(Counter, 'x').add(1);
  await caughtUp(runtime, subscription);
  expect(proxy.sprung).toBe(4);
  expect(await versions('cut-x')).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(subscription.status()).toMatchObject({ deadLetters: 0, failures: 0, handled: 10 });
});

test('a handler that loses its connection by its own doing is tried for a while, then parked; others go on', async () => {
  const runtime = await startRuntime();
  const calls: Record<string, number> = {};
  const subscription = runtime.subscribe({
    name: 'own doing',
    retry: { attempts: 2, minDelayMs: 0 },
    breaker: false,
    async handle({ aggregateId }, { tx }) {
      calls[aggregateId] = (calls[aggregateId] ?? 0) + 1;
      const client = await tx.client();
      if (aggregateId === 'ends') await client.query('select pg_terminate_backend(pg_backend_pid())');
      await client.query(insert, [`own-${aggregateId}`, 1]);
    },
  });
  for (const id of ['ends', 'fine', 'good']) await runtime.ref(Counter, id).add(1);
  await caughtUp(runtime, subscription);
  expect([await versions('own-fine'), await versions('own-good'), await versions('own-ends')]).toEqual([[1], [1], []]);
  const letters = await runtime.deadLetters.list({ handler: 'own doing' });
  expect(letters.map(({ event, attempts }) => [event.aggregateId, attempts])).toEqual([['ends', 2]]);
  expect(calls).toEqual({ ends: 7, fine: 1, good: 1 }); // five are forgiven
});

test('while PostgreSQL is away handlers wait, commands go on, and nothing is lost, parked or done twice', async () => {
  await using server = await PostgresServer.start();
  await administer(server.url(), 'create table sums (aggregate_id text, version int)');
  const store = postgres({ connectionString: server.url(), migrate: true, loadTimeoutMs: 500 });
  const options: Partial<RuntimeOptions> = { store, dataDir: scratchFolder() };
  const runtime = await startRuntime(options);
  const own = { retry: { attempts: 2, minDelayMs: 0 }, breaker: { failures: 5, pauseMs: 50 } };
  const byClient = runtime.subscribe({
    name: 'by-client',
    ...own,
    async handle({ aggregateId, version }, { tx }) {
      await (await tx.client()).query(insert, [aggregateId, version]);
    },
  });
  const byTables = runtime.subscribe({
    name: 'by-tables',
    ...own,
    async handle({ aggregateId }, { tx }) {
      tx.put('counts', aggregateId, ((await tx.get<number>('counts', aggregateId)) ?? 0) + 1);
    },
  });
  let live = 0;
  runtime.subscribe({ name: 'plain', handle: () => void live++ });
  const ids = ['a', 'b', 'c'];
  for (const id of ids) await runtime.ref(Counter, id).add(1);
  await caughtUp(runtime, byClient);
  await server.kill();
  for (let i = 0; i < 30; i++) await runtime.ref(Counter, ids[i % 3]!).add(1);
  await until(
    () => live,
    (count) => count === 33, // a handler that needs no store goes on
  );
  await until(
    () => byClient.status().lastError,
    (error) => error !== undefined,
  );
  expect(byClient.status()).toMatchObject({ handled: 3, deadLetters: 0, failures: 0 });
  await server.restart();
  await Promise.all([byClient, byTables].map((one) => caughtUp(runtime, one)));
  for (const id of ids) {
    expect(await versions(id, server.url())).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(await runtime.effect('counts', id)).toBe(11);
  }
  expect([byClient.status(), byTables.status()]).toMatchObject([
    { deadLetters: 0, handled: 33 },
    { deadLetters: 0, handled: 33 },
  ]);
  // A start without the server: subscriptions wait for it.
  await runtime.close();
  await server.kill();
  const second = await startRuntime(options);
  const again = second.subscribe({
    name: 'by-client',
    ...own,
    async handle({ aggregateId, version }, { tx }) {
      await (await tx.client()).query(insert, [aggregateId, version]);
    },
  });
  await until(
    () => again.status().lastError,
    (error) => /does not answer/.test(error ?? ''),
  );
  await second.ref(Counter, 'a').add(1);
  await server.restart();
  await caughtUp(second, again);
  expect(await versions('a', server.url())).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  // An end without the server: in bounded time.
  await second.ref(Counter, 'a').add(1);
  await caughtUp(second, again);
  await server.kill();
  await second
    .ref(Counter, 'a')
    .add(1)
    .catch(() => {});
  const closed = await second.close({ deadlineMs: 25_000 }).catch((error: { code: string }) => error.code);
  expect([undefined, 'CloseTimedOut']).toContain(closed);
  await server.restart();
  const third = await startRuntime(options);
  const last = third.subscribe({
    name: 'by-client',
    ...own,
    async handle({ aggregateId, version }, { tx }) {
      await (await tx.client()).query(insert, [aggregateId, version]);
    },
  });
  await caughtUp(third, last);
  const all = await versions('a', server.url());
  expect(all).toEqual(all.map((_, i) => i + 1));
  expect(all.length).toBeGreaterThanOrEqual(13);
}, 180_000);

test('what handlers have kept is there for SQL: positions and dead letters', async () => {
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir });
  const subscription = runtime.subscribe({
    name: 'telling',
    retry: { attempts: 1 },
    handle({ aggregateId }) {
      if (aggregateId === 'bad') throw new Error('what went wrong\0');
    },
  });
  const receipt = await runtime.ref(Counter, 'bad').add(1);
  const last = await runtime.ref(Counter, 'good').add(1);
  await caughtUp(runtime, subscription);
  await subscription.pause();
  const schema = schemaOf(dataDir);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows: positions } = await client.query(`select * from ${schema}.event_handler_positions`);
    expect(positions).toMatchObject([
      {
        handler_name: 'telling',
        position: String(last.position),
        completed: [],
        paused: true,
        last_processed_id: last.events[0]!.id,
      },
    ]);
    const { rows: letters } = await client.query(
      `select handler_name, reason, aggregate_id, version, position, attempts from ${schema}.dead_letters`,
    );
    expect(letters).toEqual([
      {
        handler_name: 'telling',
        reason: 'failed',
        aggregate_id: 'bad',
        version: 1,
        position: String(receipt.position),
        attempts: 1,
      },
    ]);
  } finally {
    await client.end();
  }
});

test('close that gives up breaks off what waits for the database: nothing comes into it later', async () => {
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir, shards: 1 });
  await runtime.ref(Counter, 'late-a').add(1);
  const subscription = runtime.subscribe({ name: 'first', events: '*', handle: () => {} });
  await subscription.caughtUpTo(runtime.status().written);
  await subscription.pause(); // so its checkpoint is kept
  const { logId } = JSON.parse(readFileSync(join(dataDir, 'trunkline.json'), 'utf8')) as { logId: string };
  const other = new pg.Client({ connectionString: url });
  await other.connect();
  await other.query(`begin; ${lockSql(schemaOf(dataDir), lockNames.handlers(logId))}`);
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  const { promise: begun, resolve: hasBegun } = Promise.withResolvers<void>();
  const { promise: late, resolve: told } = Promise.withResolvers<unknown>();
  runtime.subscribe({
    name: 'second',
    events: '*',
    async handle({ aggregateId, version }, { tx }) {
      const client = await tx.client();
      await client.query(insert, [aggregateId, version]);
      hasBegun();
      await held;
      try {
        told(await client.query(insert, [aggregateId, 99]));
      } catch (error) {
        told(error);
      }
    },
  });
  await begun;
  const resumed = errorOf(subscription.resume());
  const paused = async (): Promise<unknown[]> => {
    const from = `${schemaOf(dataDir)}.event_handler_positions`;
    return (await other.query(`select handler_name as name, paused from ${from} order by 1`)).rows;
  };
  expect((await errorOf(runtime.close({ deadlineMs: 100 }))).code).toBe('CloseTimedOut');
  expect((await resumed).code).toBe('StoreUnavailable'); // its commit was broken off
  await other.query('rollback');
  letGo();
  expect(await late).toBeInstanceOf(Error);
  const sessions =
    "select from pg_stat_activity where application_name = 'trunkline handlers' and datname = current_database()";
  await until(
    async () => (await other.query(sessions)).rowCount,
    (count) => count === 0,
  );
  expect(await versions('late-a')).toEqual([]);
  expect(await paused()).toEqual([{ name: 'first', paused: true }]);
  await other.end();
});
