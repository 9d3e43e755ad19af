// What can go wrong between a runtime and its PostgreSQL: each a typed error or a recovery, nothing lost, nothing twice.
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { beforeEach, expect, test } from 'vitest';
import { PostgresArchive } from '../../../src/adapters/postgres/read/archive.ts';
import { migrate, openEventStore, postgres, type Runtime } from '../../../src/index.ts';
import { administer, migratedDatabase } from '../../postgres.ts';
import { PostgresServer } from '../../postgres-server.ts';
import { commits, TcpProxy } from '../../proxy.ts';
import { Counter } from '../../runtime/aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from '../../runtime/scratch.ts';

const long = { timeout: 180_000 }; // servers that are killed and started, on a machine that may be busy
let connectionString: string;

beforeEach(async () => {
  connectionString = await migratedDatabase();
});

const start = (options: object = {}): Promise<Runtime> =>
  startRuntime({ store: postgres({ connectionString }), shards: 1, ...options });

/** Collects the codes of what is logged as an error. */
function listening(): { codes: string[]; logger: any } {
  const codes: string[] = [];
  const error = ({ err }: { err?: { code: string } }): void => void (err && codes.push(err.code));
  return { codes, logger: { debug() {}, info() {}, warn() {}, error } };
}

const amounts = async (url: string): Promise<number[]> => {
  const sql = `select (data ->> 'amount')::int as amount from trunkline.domain_events order by position`;
  return (await administer(url, sql)).map(({ amount }) => amount);
};

test('refused at the start: wrong password, no schema, no rights', async () => {
  const wrong = new URL(connectionString);
  wrong.password = 'open-sesame';
  const denied = await errorOf(start({ store: postgres({ connectionString: wrong.href }) }));
  expect(denied.code).toBe('StoreAccessDenied');
  expect(`${denied.message}${JSON.stringify(denied)}`).not.toContain('sesame');
  const elsewhere = postgres({ connectionString, schema: 'nowhere' });
  expect(await errorOf(start({ store: elsewhere }))).toMatchObject({
    code: 'StoreSchemaMissing',
    details: { schema: 'nowhere' },
  });
  expect((await errorOf(openEventStore(elsewhere))).code).toBe('StoreSchemaMissing');
  const role = `reader_${Date.now()}`;
  await administer(
    connectionString,
    `create role ${role} login password 'r'; grant usage on schema trunkline to ${role};
     grant select on all tables in schema trunkline to ${role}`,
  );
  const reader = new URL(connectionString);
  reader.username = role;
  reader.password = 'r';
  expect((await errorOf(start({ store: postgres({ connectionString: reader.href }) }))).code).toBe('StoreAccessDenied');
  await using store = await openEventStore(postgres({ connectionString: reader.href }));
  expect(await store.getByType('Added')).toEqual([]);
  expect((await errorOf(store.save())).code).toBe('StoreReadOnly');
});

test('migrate: true brings the schema along', async () => {
  const runtime = await start({ store: postgres({ connectionString, schema: 'fresh', migrate: true }) });
  await runtime.ref(Counter, 'x').with({ ack: 'stored' }).add(1);
  expect(await administer(connectionString, 'select version from fresh.aggregates')).toEqual([{ version: 1 }]);
});

test.each([
  ['rename column data to payload', 'rename column payload to data'],
  ['add column region text not null default null', 'drop column region'],
])('a table altered by hand holds the store up, says so, and loses nothing: %s', async (alter, restore) => {
  const { codes, logger } = listening();
  const runtime = await start({ logger });
  await runtime.ref(Counter, 'x').with({ ack: 'stored' }).add(1);
  await administer(connectionString, 'create table kept as table trunkline.domain_events');
  await administer(connectionString, 'delete from trunkline.domain_events'); // or no column could be added that is not null
  await administer(connectionString, `alter table trunkline.domain_events ${alter}`);
  await runtime.ref(Counter, 'x').add(2);
  await until(
    () => codes,
    (seen) => seen.includes('StoreSchemaMismatch'),
  );
  await runtime.ref(Counter, 'x').add(3);
  await administer(connectionString, `alter table trunkline.domain_events ${restore}`);
  await runtime.reached('stored');
  await administer(connectionString, 'insert into trunkline.domain_events select * from kept');
  expect(await amounts(connectionString)).toEqual([1, 2, 3]);
  expect(runtime.status().quarantined).toBe(0);
});

test.each([
  ['alter table trunkline.aggregates drop column epoch', 'aggregates.epoch'],
  ['drop table trunkline.snapshots', 'snapshots.state'],
])('altered before the start: %s', async (sql, lacks) => {
  await administer(connectionString, sql);
  const altered = { code: 'StoreSchemaMismatch', details: { reason: expect.stringContaining(lacks) } };
  expect(await errorOf(start())).toMatchObject(altered);
  expect(await errorOf(openEventStore(postgres({ connectionString })))).toMatchObject(altered);
});

test.each(['before', 'after'] as const)('a connection cut %s the server has committed', async (moment) => {
  await using proxy = await TcpProxy.before(Number(new URL(connectionString).port || 5432));
  const { codes, logger } = listening();
  const runtime = await start({ logger, store: postgres({ connectionString: proxy.through(connectionString) }) });
  for (let i = 1; i <= 3; i++) {
    proxy.set({ matches: commits, at: moment });
    await runtime.ref(Counter, 'x').with({ ack: 'stored' }).add(i);
  }
  expect(proxy.sprung).toBe(3);
  expect(codes).toContain('StoreUnavailable');
  expect(await amounts(connectionString)).toEqual([1, 2, 3]);
  expect(runtime.status().quarantined).toBe(0);
});

test('a COMMIT that comes to the server after it was given up: nobody is taken for another process', async () => {
  await using proxy = await TcpProxy.before(Number(new URL(connectionString).port || 5432));
  const { codes, logger } = listening();
  const store = postgres({ connectionString: proxy.through(connectionString), statementTimeoutMs: 1_000 });
  const runtime = await start({ logger, store });
  for (let i = 1; i <= 3; i++) {
    proxy.set({ matches: commits, at: 'before', spring: () => pause(1_600) });
    await runtime.ref(Counter, 'x').with({ ack: 'stored' }).add(i);
  }
  expect(proxy.sprung).toBe(3);
  expect(codes).not.toContain('LogFenced');
  expect(await amounts(connectionString)).toEqual([1, 2, 3]);
});

test('two processes that flush the same log: the second one stops', async () => {
  const { codes, logger } = listening();
  const runtime = await start({ logger });
  await runtime.ref(Counter, 'x').with({ ack: 'stored' }).add(1);
  await administer(connectionString, 'update trunkline.flush_checkpoints set position = position + 1');
  await runtime.ref(Counter, 'x').add(2);
  await until(
    () => codes,
    (seen) => seen.includes('LogFenced'),
  );
  expect(await amounts(connectionString)).toEqual([1]);
});

test(
  'a server that hangs holds nobody beyond deadline or signal, and what was sent is stored afterwards',
  long,
  async () => {
    await using server = await PostgresServer.start();
    const runtime = await start({ store: postgres({ connectionString: server.url(), migrate: true }) });
    const counter = runtime.ref(Counter, runtime.newId()).with({ ack: 'stored' });
    await counter.add(1);
    server.hold();
    const late = await errorOf(counter.with({ ack: 'stored', deadlineMs: 100 }).add(2));
    expect(late).toMatchObject({ code: 'DeadlineExceeded', details: { deadlineMs: 100, executed: 'yes' } });
    const controller = new AbortController();
    const aborted = errorOf(counter.with({ ack: 'stored', signal: controller.signal }).add(3));
    await until(
      () => runtime.status().inFlight,
      (count) => count === 0,
    );
    controller.abort();
    expect(await aborted).toMatchObject({ code: 'Aborted', details: { executed: 'yes' } });
    server.release();
    expect((await counter.add(4)).value).toBe(10);
    expect(await amounts(server.url())).toEqual([1, 2, 3, 4]);
    await runtime.close();
  },
);

test("a pool of the user's own, and one that is exhausted", async () => {
  const pool = new pg.Pool({ connectionString, max: 1 }); // whoever asks it waits for ever
  try {
    const runtime = await start({ store: postgres({ pool, loadTimeoutMs: 300 }) });
    await runtime.ref(Counter, 'x').with({ ack: 'stored' }).add(7);
    const client = await pool.connect();
    const exhausted = await errorOf(runtime.store.getByAggregate(Counter, 'x'));
    expect(exhausted.code).toBe('StoreUnavailable');
    client.release();
    expect(await runtime.store.getByAggregate(Counter, 'x')).toHaveLength(1);
  } finally {
    await pool.end();
  }
});

test('while the server is away the service goes on; it starts without it, and everything arrives', long, async () => {
  await using server = await PostgresServer.start();
  await migrate({ connection: server.url() });
  const dataDir = scratchFolder();
  const store = postgres({ connectionString: server.url(), loadTimeoutMs: 1_000 });
  const first = await start({ dataDir, store });
  const [known, own] = [first.ref(Counter, 'known'), first.newId()];
  await known.with({ ack: 'stored' }).add(1);
  await server.kill();
  expect((await known.add(2)).value).toBe(3);
  expect((await first.ref(Counter, own).add(3)).value).toBe(3);
  const repeated = known.with({ idempotencyKey: 'k' });
  const outcome = await repeated.add(0);
  expect((await repeated.add(0)).events).toEqual(outcome.events);
  const unknown = await errorOf(first.ref(Counter, 'unknown').add(1));
  expect(unknown.code).toBe('StoreUnavailable');
  expect((await errorOf(first.store.getByAggregate(Counter, 'known'))).code).toBe('StoreUnavailable');
  const live = [];
  for await (const event of first.events()) live.push(event.data);
  expect(live).toEqual([{ amount: 1 }, { amount: 2 }, { amount: 3 }, { amount: 0 }]);
  await first.close();
  const second = await start({ dataDir, store });
  expect((await second.ref(Counter, 'known').add(4)).value).toBe(7);
  expect(await second.ref(Counter, 'known').with({ idempotencyKey: 'k' }).add(0)).toMatchObject({ version: 3 });
  expect((await second.ref(Counter, own).add(5)).value).toBe(8);
  expect((await errorOf(second.ref(Counter, 'unknown').add(1))).code).toBe('StoreUnavailable');
  await server.restart();
  await second.reached('stored');
  expect(await amounts(server.url())).toEqual([1, 2, 3, 0, 4, 5]);
  const late = await until(
    () =>
      second
        .ref(Counter, 'unknown')
        .add(6)
        .catch(() => undefined),
    (receipt) => receipt !== undefined,
  );
  expect(late!.value).toBe(6);
});

test('a message to an aggregate that cannot be loaded while the server is away comes later', long, async () => {
  await using server = await PostgresServer.start();
  await migrate({ connection: server.url() });
  const runtime = await start({ store: postgres({ connectionString: server.url(), loadTimeoutMs: 500 }) });
  await runtime.ref(Counter, 'known').with({ ack: 'stored' }).add(1);
  await server.kill();
  await runtime.ref(Counter, 'known').sendOther('unknown', 2);
  expect((await errorOf(runtime.ref(Counter, 'unknown').add(1))).code).toBe('StoreUnavailable');
  expect(runtime.status().messagesUnderWay).toBe(2);
  await server.restart();
  await until(
    () => runtime.status().messagesUnderWay,
    (count) => count === 0,
    60_000,
  );
  expect((await runtime.ref(Counter, 'unknown').total()).value).toBe(4);
});

test('the log grows to its limit, pushes back, and takes more when the store has come back', long, async () => {
  await using server = await PostgresServer.start();
  await migrate({ connection: server.url() });
  const store = postgres({ connectionString: server.url() });
  const flush = { whenFull: 'reject', ringBytes: 1 << 16, batchBytes: 1 << 16 } as const;
  const runtime = await start({ store, flush, log: { maxBytes: 4 << 20, retainBytes: 0 } });
  const id = runtime.newId();
  await runtime.ref(Counter, id).with({ ack: 'stored' }).label('first');
  await server.kill();
  const refusals: string[] = [];
  const sent: Promise<unknown>[] = [];
  await until(
    () => {
      const label = runtime.ref(Counter, id).label('x'.repeat(2_000));
      sent.push(label.catch(({ code }) => refusals.push(code)));
      return refusals;
    },
    (codes) => codes.includes('LogFull'),
    50_000,
  );
  // A busy machine's log thread may be behind its ring before the log is full.
  expect(refusals.filter((code) => code !== 'LogFull' && code !== 'RingFull')).toEqual([]);
  await server.restart();
  await Promise.all(sent);
  const count = sent.length - refusals.length;
  expect(count).toBeGreaterThan(50);
  await until(
    () =>
      runtime
        .ref(Counter, id)
        .label('last')
        .catch(() => undefined),
    (receipt) => receipt !== undefined,
  );
  await runtime.reached('stored');
  const [{ events, version }] = await administer(
    server.url(),
    `select count(*)::int as events, max(version) as version from trunkline.domain_events`,
  );
  expect(events).toBe(version);
  expect(events).toBe(count + 2);
});

test('what takes too long as a whole comes in parts: a backlog is flushed, and read', long, async () => {
  const runtime = await start();
  await (await runtime.ref(Counter, 'a').add(1)).reached('stored');
  // Statements beyond a size end as they do when they take too long.
  await administer(
    connectionString,
    `create sequence trunkline.cancelled;
     create function trunkline.too_long() returns trigger language plpgsql as $$
     begin
       if (select count(*) from added) > 20 then
         perform nextval('trunkline.cancelled');
         raise exception using errcode = '57014', message = 'canceling statement due to statement timeout';
       end if;
       return null;
     end $$;
     create trigger too_long after insert on trunkline.domain_events referencing new table as added
       for each statement execute function trunkline.too_long()`,
  );
  await Promise.all(Array.from({ length: 1500 }, (_, i) => runtime.ref(Counter, `c${i % 300}`).add(1)));
  await runtime.reached('stored');
  const [{ last_value: cancelled }] = await administer(
    connectionString,
    'select last_value::int from trunkline.cancelled',
  );
  expect(cancelled).toBeGreaterThan(1);
  await administer(connectionString, 'drop trigger too_long on trunkline.domain_events'); // or no session would begin
  expect(runtime.status().quarantined).toBe(0);
  expect(await amounts(connectionString)).toHaveLength(1501);

  const archive = new PostgresArchive(postgres({ connectionString }));
  const pages = archive as unknown as { run(read: (client: pg.ClientBase) => Promise<unknown>): Promise<unknown> };
  const run = pages.run.bind(archive);
  const sizes: number[] = [];
  pages.run = (read) =>
    run(async (client) => {
      const query = client.query.bind(client) as (...args: unknown[]) => unknown;
      const limited = (asked: { cursor?: { text: string }; text?: string }, ...rest: unknown[]): unknown => {
        const size = Number(/ (?:limit|fetch first) (\d+)\b/.exec(asked.text ?? '')?.[1] ?? 0);
        sizes.push(size);
        if (size > 200) throw Object.assign(new Error('canceling statement'), { code: '57014', severity: 'ERROR' });
        return query(asked, ...rest);
      };
      return read(Object.assign(Object.create(client), { query: limited }));
    });
  let count = 0;
  for await (const _ of archive.query()) count++;
  expect(count).toBe(1501);
  expect(Math.max(...sizes)).toBe(5000);
  expect(sizes.filter((size) => size > 0 && size <= 200).length).toBeGreaterThan(7);
  await archive.close();
});
