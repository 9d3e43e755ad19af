// Actors that come from PostgreSQL: what is needed is asked for and nothing else, nothing stale, and whoever loses an
// aggregate to another log loses no event.
import pg from 'pg';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { PostgresAggregateReader } from '../../../src/adapters/postgres/read/aggregate-reader.ts';
import { PostgresArchive } from '../../../src/adapters/postgres/read/archive.ts';
import { newId, postgres, type Runtime, type StoredEvent } from '../../../src/index.ts';
import { administer, migratedDatabase } from '../../postgres.ts';
import { commitsBehind, TcpProxy } from '../../proxy.ts';
import { Counter } from '../../runtime/aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from '../../runtime/scratch.ts';

let connectionString: string;

beforeEach(async () => {
  connectionString = await migratedDatabase();
});

const start = (options: object = {}): Promise<Runtime> =>
  startRuntime({ store: postgres({ connectionString }), shards: 1, ...options });

const versionsOf = async (runtime: Runtime, id: string): Promise<number[]> =>
  (await runtime.store.getByAggregate(Counter, id)).map(({ version }: StoredEvent) => version);

test('another machine goes on with what the first one stored: events alone, and a snapshot with events', async () => {
  const first = await start();
  await first.ref(Counter, 'few').addMany(3);
  for (let i = 0; i < 23; i++) await first.ref(Counter, 'many').add(1);
  await first.reached('stored');
  await first.close();
  const second = await start();
  expect((await second.ref(Counter, 'few').whole()).value).toMatchObject({ state: { total: 3 }, version: 3 });
  const [a, b, c] = await Promise.all([1, 1, 1].map(() => second.ref(Counter, 'many').add(1)));
  expect([a!.value, b!.value, c!.value]).toEqual([24, 25, 26]);
  expect((await second.ref(Counter, 'new').add(1)).version).toBe(1);
  expect(await versionsOf(second, 'many')).toEqual(Array.from({ length: 26 }, (_, i) => i + 1));
  expect(
    await administer(connectionString, "select epoch from trunkline.aggregates where aggregate_id = 'many'"),
  ).toEqual([{ epoch: '2' }]);
  expect(second.status().quarantined).toBe(0);
});

test('other aggregates go on while one is loaded', async () => {
  const first = await start();
  await first.ref(Counter, 'x').add(1);
  await first.reached('stored');
  await first.close();
  const second = await start();
  const known = second.newId();
  await second.ref(Counter, known).add(1);
  // The server holds the load back: its head is locked.
  const locked = administerSlowly(connectionString, 'lock table trunkline.aggregates in access exclusive mode');
  await locked.held;
  const loading = second.ref(Counter, 'x').add(1);
  expect((await second.ref(Counter, known).add(1)).value).toBe(2);
  locked.release();
  expect((await loading).value).toBe(2);
});

test('an id of this runtime costs no query, any other does', async () => {
  const runtime = await start();
  await administer(connectionString, 'alter table trunkline.aggregates rename to hidden');
  expect((await runtime.ref(Counter, runtime.newId()).add(1)).value).toBe(1);
  expect((await errorOf(runtime.ref(Counter, newId()).add(1))).code).toBe('StoreSchemaMismatch');
  expect((await errorOf(runtime.ref(Counter, 'x').add(1))).code).toBe('StoreSchemaMismatch');
  await administer(connectionString, 'alter table trunkline.hidden rename to aggregates');
  expect((await runtime.ref(Counter, 'x').add(1)).value).toBe(1);
});

test('what has left memory comes back from here, without a query, also what the store does not have yet', async () => {
  const dataDir = scratchFolder();
  const first = await start({ dataDir, actorIdleMs: 1 });
  const [plain, snapped] = [first.newId(), first.newId()];
  for (let i = 0; i < 14; i++) await first.ref(Counter, snapped).add(1);
  await first.ref(Counter, plain).addMany(5);
  await first.close();
  const again = await start({ dataDir, actorIdleMs: 1 });
  await administer(connectionString, 'alter table trunkline.aggregates rename to hidden');
  for (let round = 1; round <= 3; round++) {
    expect((await again.ref(Counter, snapped).add(1)).value).toBe(14 + round);
    expect((await again.ref(Counter, plain).add(1)).value).toBe(5 + round);
    await again.reached('synced');
    await until(
      () => again.status().actors,
      (actors) => actors === 0,
    );
  }
  await administer(connectionString, 'alter table trunkline.hidden rename to aggregates');
  expect(await versionsOf(again, snapped)).toHaveLength(17);
});

test('an idempotency key answers as before, also after a restart', async () => {
  const dataDir = scratchFolder();
  const first = await start({ dataDir });
  const ref = first.ref(Counter, 'x').with({ idempotencyKey: 'k' });
  const outcome = await ref.add(5);
  expect(await ref.add(5)).toMatchObject({ value: outcome.value, version: outcome.version });
  await first.close();
  const again = await start({ dataDir });
  expect(await again.ref(Counter, 'x').with({ idempotencyKey: 'k' }).add(5)).toMatchObject({ value: 5, version: 1 });
  expect(await versionsOf(again, 'x')).toEqual([1]);
});

test('two writers of one aggregate: the loser is fenced, its late events are kept, and it goes on from what is true', async () => {
  const one = await start();
  await one.ref(Counter, 'x').add(1);
  await one.reached('stored');
  const two = await start();
  expect((await two.ref(Counter, 'x').add(10)).value).toBe(11);
  await two.reached('stored');
  // The first one does not know yet.
  const late = [
    one.ref(Counter, 'x').add(100),
    errorOf(one.ref(Counter, 'x').with({ ack: 'stored' }).add(100)),
  ] as const;
  const receipt = await late[0];
  expect(receipt.value).toBe(101);
  const details = { aggregateType: 'counter', aggregateId: 'x', version: 3 };
  expect(await late[1]).toMatchObject({ code: 'Quarantined', details });
  expect(await errorOf(receipt.reached('stored'))).toMatchObject({ code: 'Quarantined', details: { version: 2 } });
  await one.reached('stored');
  expect(one.status().quarantined).toBe(2);
  const refused = [];
  for await (const { code, event, reason } of two.store.quarantined())
    refused.push({ code, version: event.version, reason });
  expect(refused).toMatchObject([
    { code: 'Fenced', version: 2 },
    { code: 'Fenced', version: 3 },
  ]);
  const back = await until(
    () => one.ref(Counter, 'x').add(1000),
    ({ value }) => value !== 1201,
  );
  expect(back.value).toBe(1011);
  await one.reached('stored');
  const stored = await one.store.getByAggregate(Counter, 'x');
  expect(stored.map((event) => (event.data as { amount: number }).amount)).toEqual([1, 10, 1000]);
  expect(one.status().quarantined).toBe(2);
});

describe('a refusal whose COMMIT is answered to nobody', () => {
  let proxy: TcpProxy;
  let dataDir: string;
  let one: Runtime;
  let two: Runtime;

  beforeEach(async () => {
    proxy = await TcpProxy.before(Number(new URL(connectionString).port));
    onTestFinished(() => proxy[Symbol.asyncDispose]());
    dataDir = scratchFolder();
    one = await start({ dataDir, store: postgres({ connectionString: proxy.through(connectionString) }) });
    await one.ref(Counter, 'x').with({ ack: 'stored' }).add(1);
    two = await start();
    await two.ref(Counter, 'x').with({ ack: 'stored' }).add(10);
  });

  test('is told all the same', async () => {
    proxy.set({ matches: commitsBehind('quarantine'), at: 'after' });
    const late = await errorOf(one.ref(Counter, 'x').with({ ack: 'stored' }).add(100));
    expect(late).toMatchObject({ code: 'Quarantined', details: { version: 2 } });
    expect(proxy.sprung).toBe(1);
    expect(one.status().quarantined).toBe(1);
    // The shard hears of it by a message, which a command may overtake: then that one is refused as well.
    const next = await until(
      () =>
        one
          .ref(Counter, 'x')
          .with({ ack: 'stored' })
          .add(1000)
          .catch(() => undefined),
      (receipt) => receipt !== undefined,
    );
    expect(next!.value).toBe(1011);
  });

  test('is heeded by the next run, if this one ends without it', async () => {
    proxy.set({
      matches: commitsBehind('quarantine'),
      at: 'after',
      spring(cut) {
        cut();
        proxy.weather = { isClosed: true };
      },
    });
    expect((await one.ref(Counter, 'x').add(100)).value).toBe(101);
    await until(
      () => proxy.sprung,
      (sprung) => sprung === 1,
    );
    await one.close();
    const again = await start({ dataDir });
    expect((await again.ref(Counter, 'x').with({ ack: 'stored' }).add(1000)).value).toBe(1011);
    expect(again.status().quarantined).toBe(0);
  });
});

test('two that begin the same aggregate: one stays, the other one is quarantined whole', async () => {
  const [one, two] = [await start(), await start()];
  const events = (amount: number) =>
    [1, 2, 3].map(() => ({ aggregateType: 's', aggregateId: 'x', type: 'T', data: { amount } }));
  await two.store.save(events(2), { expectedVersion: 0 });
  const conflict = await errorOf(one.store.save(events(1), { expectedVersion: 0 }));
  expect(conflict).toMatchObject({ code: 'ConcurrencyConflict', details: { expectedVersion: 0, actualVersion: 3 } });
  await one.store.save(events(1), { expectedVersion: 3 });
  expect(await one.store.head('s', 'x')).toMatchObject({ version: 6 });
  two.publisher.publishAsync(...events(9));
  await two.reached('stored');
  await until(
    () => two.status().quarantined,
    (count) => count === 3,
  );
  expect((await errorOf(two.store.save(events(9), { expectedVersion: 3 }))).code).toBe('ConcurrencyConflict');
  await two.store.save(events(9), { expectedVersion: 6 });
  const stored = await two.store.getByAggregate('s', 'x');
  expect(stored.map((event) => (event.data as { amount: number }).amount)).toEqual([2, 2, 2, 1, 1, 1, 9, 9, 9]);
});

test('an aggregate whose events were dropped with their month is refused, and stays with its owner', async () => {
  const one = await start();
  await one.ref(Counter, 'events').add(1);
  await one.ref(Counter, 'snapshot').addMany(150);
  await one.ref(Counter, 'behind').addMany(150);
  await one.ref(Counter, 'behind').add(1);
  await one.reached('stored');
  await administer(
    connectionString,
    `delete from trunkline.snapshots where version < 150;
     delete from trunkline.domain_events`,
  );
  const heads = (): Promise<unknown[]> =>
    administer(connectionString, 'select aggregate_id, epoch, log_id from trunkline.aggregates order by aggregate_id');
  const before = await heads();
  const two = await start();
  for (const id of ['events', 'behind']) {
    expect(await errorOf(two.ref(Counter, id).add(1))).toMatchObject({ code: 'VersionGap' });
  }
  expect(await heads()).toEqual(before);
});

test('a load looks into the months of its events, however many there are; a wrong clock costs its own aggregate only', async () => {
  const first = await start();
  await first.ref(Counter, 'a').add(1);
  await first.ref(Counter, 'a').add(1);
  const odd = { aggregateType: 'stock', aggregateId: 'odd', type: 'Sold', data: {} };
  for (const at of ['0044-03-15T00:00:00.001Z', '2300-01-01T00:00:00Z', new Date().toISOString()]) {
    await first.publisher.publishBatch([{ ...odd, occurredAt: new Date(at) }], { ack: 'stored' });
  }
  await first.close();
  for (let year = 2024; year < 2026; year++) {
    const months = Array.from({ length: 12 }, (_, i) => `trunkline.make_partition('${year}-${i + 1}-15T00:00:00Z')`);
    await administer(connectionString, `select ${months.join()}`);
  }
  const { settings } = postgres({ connectionString });
  const reader = new PostgresAggregateReader(settings, 'another');
  const archive = new PostgresArchive(postgres({ connectionString }));
  onTestFinished(() => Promise.all([reader.close(), archive.close()]).then(() => {}));
  await reader.owner('counter', 'a');
  await archive.check();
  // Within a transaction locks stay: of all tables that have been looked at, or planned for. A load that takes an aggregate
  // over commits in the middle; what it has locked by then is asked for before.
  const { client } = (reader as unknown as { session: { client: pg.Client } }).session;
  const { pool } = archive as unknown as { pool: pg.Pool };
  const pooled = await pool.connect();
  let isGiven = true;
  const giveBack = (): void => {
    if (isGiven) pooled.release();
    isGiven = false;
  };
  onTestFinished(giveBack); // before the pool is closed, also where an expectation has failed
  const lockedBy = async (on: pg.ClientBase, read: () => Promise<unknown>): Promise<number> => {
    const query = on.query.bind(on) as (...args: unknown[]) => Promise<pg.QueryResult>;
    let most = 0;
    const commit = async (): Promise<pg.QueryResult> => {
      const { rows } = await query(
        `select count(distinct c.oid)::int as count from pg_locks l join pg_class c on c.oid = l.relation
         where l.pid = pg_backend_pid() and c.relname ~ '^domain_events_\\d{4}_\\d\\d$'`,
      );
      most = Math.max(most, rows[0].count);
      return query('commit');
    };
    const watched = (...args: unknown[]): unknown => (args[0] === 'commit' ? commit() : query(...args));
    Object.assign(on, { query: watched });
    try {
      await on.query('begin');
      await read();
      await on.query('commit');
    } finally {
      delete (on as { query?: unknown }).query;
    }
    return most;
  };
  const load = async (type: string, id: string): Promise<number> => (await reader.load(type, id, '', 0, 1))!.eventCount;
  for (const turn of ['taken over', 'its own']) {
    expect(await lockedBy(client, async () => expect(await load('counter', 'a')).toBe(2)), turn).toBe(1);
    expect(await lockedBy(client, async () => expect(await load('stock', 'odd')).toBe(3)), turn).toBeGreaterThan(24);
  }
  giveBack();
  const getting = async (): Promise<void> => void expect(await archive.getByAggregate('counter', 'a')).toHaveLength(2);
  expect(await lockedBy(pooled, getting)).toBe(1);
  expect(await archive.getByAggregate('stock', 'odd')).toHaveLength(3);
});

test('a data directory belongs to one store', async () => {
  const dataDir = scratchFolder();
  await (await startRuntime({ dataDir })).close();
  expect((await errorOf(start({ dataDir }))).code).toBe('InvalidOptions');
  const other = scratchFolder();
  await (await start({ dataDir: other })).close();
  expect((await errorOf(startRuntime({ dataDir: other }))).code).toBe('InvalidOptions');
});

/** Holds a lock until it is told to let go. */
function administerSlowly(url: string, sql: string): { held: Promise<void>; release(): void } {
  const held = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  void (async () => {
    const { default: pg } = await import('pg');
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query('begin');
    await client.query(sql);
    held.resolve();
    await released.promise;
    await client.query('rollback');
    await client.end();
  })();
  return { held: held.promise, release: () => released.resolve() };
}

test('a load whose connection is ended under it is tried again', async () => {
  const runtime = await start();
  await runtime.ref(Counter, 'early').total(); // the connection is there
  const holder = new pg.Client({ connectionString });
  await holder.connect();
  const loads = "application_name = 'trunkline load' and datname = current_database() and wait_event_type = 'Lock'";
  const isWaiting = async (): Promise<number> =>
    (await administer(connectionString, `select pid from pg_stat_activity where ${loads}`)).length;
  await holder.query('begin; lock table trunkline.aggregates');
  const total = runtime.ref(Counter, 'later').total();
  await until(isWaiting, (count) => count === 1);
  await administer(connectionString, `select pg_terminate_backend(pid) from pg_stat_activity where ${loads}`);
  await holder.query('rollback');
  await holder.end();
  expect((await total).value).toBe(0);
});
