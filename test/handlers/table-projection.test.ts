// Projections into tables of the user's own, in PostgreSQL: the transaction of the rows is that of the position.
import { beforeEach, expect, test } from 'vitest';
import { foldBatch } from '../../src/adapters/postgres/handlers/batch-fold.ts';
import { KnownRows } from '../../src/adapters/postgres/handlers/known-rows.ts';
import { RowTable } from '../../src/adapters/postgres/handlers/row-table.ts';
import { PageSize } from '../../src/adapters/postgres/session/page-size.ts';
import { openClient } from '../../src/adapters/postgres/session/server-session.ts';
import { defineProjection, type ProjectionDefinition, postgres, type StoredEvent } from '../../src/index.ts';
import { administer } from '../postgres.ts';
import { commits, TcpProxy } from '../proxy.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, startSmall as startEmbedded, until } from '../runtime/scratch.ts';
import { anotherDatabase, schemaOf, startBeside } from './stores.ts';

interface Totals {
  total: number;
  events: number;
  price: string;
  labels: string[];
}

const startRuntime = startBeside;
let url: string;

beforeEach(async () => {
  url = await anotherDatabase();
  await administer(
    url,
    `create schema reports;
     create table reports.totals (name text primary key, total int not null, events bigint not null,
       price numeric(12, 2) not null, labels jsonb, at timestamptz not null default now());
     create view reports.big as select name from reports.totals where total > 5;
     create table reports.days (day date primary key, events int);
     create type reports.place as (number int, name text);
     create collation reports.either_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
     create table reports.keyless (name text, total int)`,
  );
});

const totals = (settings: Partial<ProjectionDefinition<Totals>> = {}): ProjectionDefinition<Totals> =>
  defineProjection<Totals>({
    name: 'totals',
    aggregates: [Counter],
    into: { table: 'reports.totals', keyColumn: 'name', batchEvents: 7 },
    init: () => ({ total: 0, events: 0, price: '0.10', labels: [] }),
    apply(row, { type, data }) {
      const events = row.events + 1;
      if (type === 'Labelled') return { ...row, events, labels: [...row.labels, (data as { label: string }).label] };
      const { amount } = data as { amount: number };
      return amount === 99 ? undefined : { ...row, events, total: row.total + amount };
    },
    ...settings,
  });

const rows = (): Promise<any[]> =>
  administer(url, `select name, total, events::int, price::text, labels from reports.totals order by name`);

test('rows in the columns of their fields, read after one is written, over restarts; other versions beside', async () => {
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir });
  const projection = runtime.project(totals());
  for (const id of ['b', 'a', 'c']) for (let i = 0; i < 10; i++) await runtime.ref(Counter, id).add(1);
  await runtime.ref(Counter, 'a').label('x"\\y');
  await projection.caughtUpTo(await runtime.ref(Counter, 'c').add(99));
  const a = { total: 10, events: 11, price: '0.10', labels: ['x"\\y'] };
  const b = { total: 10, events: 10, price: '0.10', labels: [] };
  expect(await rows()).toEqual([
    { name: 'a', ...a },
    { name: 'b', ...b },
  ]);
  expect(await projection.get('a')).toMatchObject(a);
  expect(Object.isFrozen(await projection.get('a'))).toBe(true);
  expect(await projection.get('c')).toBeUndefined();
  expect((await projection.entries({ start: 'b' })).map(({ key }) => key)).toEqual(['b']);
  expect((await projection.entries({ prefix: 'a' })).map(({ key }) => key)).toEqual(['a']);
  await runtime.close();

  const second = await startRuntime({ dataDir });
  const again = second.project(totals());
  await again.caughtUpTo(await second.ref(Counter, 'b').add(5));
  expect(await rows()).toMatchObject([{ total: 10 }, { name: 'b', total: 15, events: 11, price: '0.10' }]);
  await second.close();

  // Another version: the old rows until its own are there; the user's view stands all the while.
  const gate = { open: false };
  const doubling = totals({
    version: 2,
    apply(row, { type, data }) {
      if (!gate.open) throw new Error('not yet');
      const amount = type === 'Added' ? (data as { amount: number }).amount : 0;
      return { ...row, total: row.total + 2 * amount, events: row.events + 1 };
    },
  });
  const third = await startRuntime({ dataDir });
  const stopped = third.project(doubling);
  await until(
    () => stopped.get('a').then(() => stopped.status().state),
    (state) => state === 'stopped',
  );
  expect(await rows()).toMatchObject([
    { name: 'a', total: 10 },
    { name: 'b', total: 15 },
  ]);
  expect(stopped.status()).toMatchObject({ isRebuilding: true, version: 2 });
  await third.close();
  gate.open = true;
  const fourth = await startRuntime({ dataDir });
  const doubled = fourth.project(doubling);
  const [receipt] = await Promise.all([fourth.ref(Counter, 'a').add(1), doubled.caughtUpTo(fourth.status().written)]);
  await doubled.caughtUpTo(receipt);
  expect(await rows()).toMatchObject([
    { name: 'a', total: 22, events: 12 },
    { name: 'b', total: 30 },
    { name: 'c', total: 20 + 198 },
  ]);
  const rebuilt = doubled.rebuild();
  const during = await fourth.ref(Counter, 'a').add(1);
  await Promise.all([rebuilt, doubled.caughtUpTo(during)]);
  expect(await doubled.get('a')).toMatchObject({ total: 24, events: 13 });
  expect(await administer(url, 'select name from reports.big order by name')).toHaveLength(3);
  const tables = await administer(url, `select tablename as name from pg_tables where schemaname = 'reports'`);
  expect(tables.map(({ name }) => name).sort()).toEqual(['days', 'keyless', 'totals']);
  expect(doubled.status()).toMatchObject({ isRebuilding: false, state: 'live' });
});

test('connections cut at COMMIT, before and after the server hears of it: each event is folded once', async () => {
  await administer(url, 'create table reports.cut (key text primary key, total int, events int)');
  await using proxy = await TcpProxy.before(Number(new URL(url).port));
  const dataDir = scratchFolder();
  const store = postgres({ connectionString: proxy.through(url), schema: schemaOf(dataDir), migrate: true });
  const runtime = await startRuntime({ dataDir, store });
  let folded = 0;
  const projection = runtime.project(
    defineProjection({
      name: 'cut',
      into: { table: 'reports.cut', batchEvents: 5 },
      init: () => ({ total: 0, events: 0 }),
      apply(row, { data }) {
        // Soon after a row of this batch has been folded, its transaction is committed.
        if (++folded % 20 === 0 && proxy.sprung < 8) {
          proxy.set({ matches: commits, at: folded % 40 === 0 ? 'before' : 'after' });
        }
        return { total: row.total + (data as { amount: number }).amount, events: row.events + 1 };
      },
    }),
  );
  await projection.get('begun');
  const ids = Array.from({ length: 8 }, (_, i) => `c${i}`);
  for (let i = 0; i < 25; i++) await Promise.all(ids.map((id) => runtime.ref(Counter, id).add(i)));
  await projection.caughtUpTo(runtime.status().written, { timeoutMs: 60_000 });
  expect(proxy.sprung).toBeGreaterThan(4);
  const found = await administer(url, 'select key, total, events from reports.cut order by key');
  expect(found).toEqual(ids.map((key) => ({ key, total: 300, events: 25 })));
}, 120_000);

/** Rows of `key` and `total`; each event adds `by`. */
const sums = (name: string, table: string, by: number): ProjectionDefinition<{ total: number }> =>
  defineProjection<{ total: number }>({
    name,
    into: { table },
    init: () => ({ total: 0 }),
    apply: (row) => ({ total: row.total + by }),
  });

test("a user's tables of any name beside are left alone, and long names do not fall together", async () => {
  const long = 'x'.repeat(60);
  await administer(
    url,
    `create schema beside;
     create table beside.sums (key text primary key, total int);
     create table beside.sums_g1 as select generate_series(1, 100) as invoice;
     create table beside.${long}aaa (key text primary key, total int);
     create table beside.${long}bbb (key text primary key, total int)`,
  );
  const runtime = await startRuntime();
  const { position } = await runtime.ref(Counter, 'a').add(1);
  const projections = [
    sums('sums', 'beside.sums', 1),
    sums('long', `beside.${long}aaa`, 10),
    sums('longer', `beside.${long}bbb`, 100),
  ].map((definition) => runtime.project(definition));
  await Promise.all(projections.map((one) => one.caughtUpTo(position)));
  expect(await Promise.all(projections.map((one) => one.get('a')))).toMatchObject([
    { total: 1 },
    { total: 10 },
    { total: 100 },
  ]);
  expect(await administer(url, 'select count(*)::int as rows from beside.sums_g1')).toEqual([{ rows: 100 }]);
  const tables = await administer(url, `select tablename as name from pg_tables where schemaname = 'beside'`);
  expect(tables.map(({ name }) => name).sort()).toEqual(['sums', 'sums_g1', `${long}aaa`, `${long}bbb`]);
});

test('a table that lacks our mark is never dropped: the projection fails by its name, and goes on once it is gone', async () => {
  await administer(url, 'create schema unmarked; create table unmarked.sums (key text primary key, total int)');
  const built = `select quote_ident(tablename) as name from pg_tables
    where schemaname = 'unmarked' and tablename like 'trunkline%'`;
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir });
  const { position } = await runtime.ref(Counter, 'a').add(1);
  const stopping = runtime.project({
    ...sums('sums', 'unmarked.sums', 1),
    apply() {
      throw new Error('not yet');
    },
  });
  await until(
    () => stopping.get('a').then(() => stopping.status().state),
    (state) => state === 'stopped',
  );
  const [{ name }] = await administer(url, built);
  await runtime.close();
  // Another table of that name, as a restore without comments leaves it.
  await administer(url, `comment on table unmarked.${name} is null; insert into unmarked.${name} values ('mine', 7)`);
  const second = await startRuntime({ dataDir });
  const refused = await errorOf(second.project(sums('sums', 'unmarked.sums', 1)).caughtUpTo(position));
  expect(refused).toMatchObject({ code: 'InvalidOptions', message: expect.stringContaining(name) });
  expect(await administer(url, `select * from unmarked.${name}`)).toEqual([{ key: 'mine', total: 7 }]);
  await second.close();
  // Without the rows that were being built they are built anew, from the first event on.
  await administer(url, `drop table unmarked.${name}`);
  const third = await startRuntime({ dataDir });
  const cured = third.project(sums('sums', 'unmarked.sums', 1));
  await cured.caughtUpTo(await third.ref(Counter, 'a').add(1));
  expect(await administer(url, 'select * from unmarked.sums')).toEqual([{ key: 'a', total: 2 }]);
  expect(await administer(url, built)).toEqual([]);
});

const refusal = (table: string): object => ({
  code: 'InvalidOptions',
  message: expect.stringMatching(new RegExp(`"${table}".*holds rows.*empty this one, or name another`)),
});

test("what a user's table held before its first projection stays, and is in nobody's way once it is gone", async () => {
  await administer(
    url,
    `create schema filled; create table filled.sums (key text primary key, total int);
     insert into filled.sums values ('mine', 7)`,
  );
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir });
  const { position } = await runtime.ref(Counter, 'a').add(1);
  const refused = runtime.project(sums('sums', 'filled.sums', 1));
  expect(await errorOf(refused.caughtUpTo(position))).toMatchObject(refusal('sums'));
  expect(refused.status()).toMatchObject({ state: 'failed', lastError: expect.stringContaining('holds rows') });
  // They may also come while the first rows of the projection are being built.
  await administer(url, 'create table filled.late (key text primary key, total int)');
  const user = await openClient({ connectionString: url }, { name: 'test', timeoutMs: 30_000, isUsers: true });
  await user.query(`begin; insert into filled.late values ('mine', 8)`);
  const held = runtime.project(sums('late', 'filled.late', 1));
  const error = errorOf(held.caughtUpTo(position));
  const waiting = `select from pg_locks where relation = 'filled.late'::regclass and not granted`;
  await until(
    () => administer(url, waiting),
    (locks) => locks.length > 0,
  );
  await user.query('commit');
  await user.end();
  expect(await error).toMatchObject(refusal('late'));
  expect(held.status().state).toBe('failed');
  await runtime.close();
  expect(
    await administer(url, 'select total from filled.sums union select total from filled.late order by total'),
  ).toEqual([{ total: 7 }, { total: 8 }]);
  await administer(url, 'truncate filled.sums');
  const second = await startRuntime({ dataDir });
  await second.project(sums('sums', 'filled.sums', 1)).caughtUpTo(position);
  expect(await administer(url, 'select * from filled.sums')).toEqual([{ key: 'a', total: 1 }]);
});

test('a projection that moves to another table builds it from the first event on, and leaves the former one as it is', async () => {
  await administer(
    url,
    `create schema moved; create table moved.one (key text primary key, total int);
     create table moved.two (key text primary key, total int);
     create table moved.three (key text primary key, total int); insert into moved.three values ('mine', 7)`,
  );
  const dataDir = scratchFolder();
  for (const table of ['one', 'two']) {
    const runtime = await startRuntime({ dataDir });
    await runtime.project(sums('sums', `moved.${table}`, 1)).caughtUpTo(await runtime.ref(Counter, 'a').add(1));
    await runtime.close();
  }
  expect(await administer(url, 'select total from moved.one union all select total from moved.two')).toEqual([
    { total: 1 },
    { total: 2 },
  ]);
  const runtime = await startRuntime({ dataDir });
  const moved = runtime.project({ ...sums('sums', 'moved.three', 1), version: 2 });
  expect(await errorOf(moved.get('a'))).toMatchObject(refusal('three'));
  expect(await administer(url, 'select * from moved.three')).toEqual([{ key: 'mine', total: 7 }]);
});

test('rows that take longer than a statement may come in by smaller and smaller pages', async () => {
  await administer(
    url,
    `create schema slow; create table slow.rows (key int unique, total int);
     insert into slow.rows select i, 0 from generate_series(1, 300) i; insert into slow.rows values (null, 7);
     create function slow.down() returns trigger language plpgsql as
       'begin perform pg_sleep(0.002); if tg_op = ''DELETE'' then return old; end if; return new; end';
     create trigger down before insert or delete on slow.rows for each row execute function slow.down()`,
  );
  const client = await openClient({ connectionString: url }, { name: 'test', timeoutMs: 500, isUsers: true });
  const table = await RowTable.find<object>(client, { table: 'slow.rows' }, () => ({ total: 0 }));
  const next = table.beside({ logId: 'log', projection: 'slow' }, 1);
  const pages = new PageSize(300);
  await client.query('begin');
  await next.make(client, table);
  await client.query(`insert into ${next.name} select i, 1 from generate_series(1, 300) i`);
  await table.become(client, next, true, pages);
  await client.query('commit');
  await client.end();
  const found = await administer(
    url,
    'select total, count(*)::int as rows from slow.rows group by total order by total',
  );
  expect(found).toEqual([
    { total: 1, rows: 300 },
    { total: 7, rows: 1 }, // whose key is null: no projection has put it there
  ]);
}, 60_000);

test('a batch that takes longer than a statement may is folded in halves, and the next ones are as small', async () => {
  await administer(
    url,
    `create schema heavy; create table heavy.sums (key text primary key, total int);
     create function heavy.down() returns trigger language plpgsql as 'begin perform pg_sleep(0.005); return new; end';
     create trigger down before insert on heavy.sums for each row execute function heavy.down()`,
  );
  const dataDir = scratchFolder();
  const { connectionString, schema } = { connectionString: url, schema: schemaOf(dataDir) };
  const store = postgres({ connectionString, schema, migrate: true, statementTimeoutMs: 700 });
  const runtime = await startRuntime({ dataDir, store });
  const projection = runtime.project({
    ...sums('sums', 'heavy.sums', 1),
    into: { table: 'heavy.sums', batchEvents: 200 },
  });
  await projection.caughtUpTo(await runtime.ref(Counter, 'first').add(1));
  const added = await Promise.all(Array.from({ length: 400 }, (_, i) => runtime.ref(Counter, `c${i}`).add(1)));
  await projection.caughtUpTo(Math.max(...added.map(({ position }) => position)), { timeoutMs: 60_000 });
  const [found] = await administer(
    url,
    'select count(*)::int as rows, sum(total)::int as total, count(distinct xmin::text)::int as batches from heavy.sums',
  );
  expect(found).toMatchObject({ rows: 401, total: 401 });
  expect(found.batches).toBeLessThan(100); // one by one it would be a transaction for each
  expect(projection.status().state).toBe('live');
}, 90_000);

test('a lost reply to the COMMIT that brings the rows in is no reason to bring them in again', async () => {
  await administer(url, 'create schema lost; create table lost.sums (key text primary key, total int)');
  await using proxy = await TcpProxy.before(Number(new URL(url).port));
  const dataDir = scratchFolder();
  const store = postgres({ connectionString: proxy.through(url), schema: schemaOf(dataDir), migrate: true });
  const runtime = await startRuntime({ dataDir, store });
  const { position } = await runtime.ref(Counter, 'a').add(1);
  const bringsIn = (request: Buffer): boolean => request.includes('overriding system value');
  proxy.set({ matches: bringsIn, at: 'after', spring: () => proxy.set({ matches: commits, at: 'after' }) });
  const projection = runtime.project(sums('sums', 'lost.sums', 1));
  await projection.caughtUpTo(position);
  await projection.caughtUpTo(await runtime.ref(Counter, 'a').add(1));
  expect(proxy.sprung).toBe(2);
  expect(await administer(url, 'select * from lost.sums')).toEqual([{ key: 'a', total: 2 }]);
});

test('a key of another type', async () => {
  const runtime = await startRuntime();
  const days = runtime.project(
    defineProjection({
      name: 'days',
      into: { table: 'reports.days', keyColumn: 'day' },
      key: ({ occurredAt }) => occurredAt.toISOString().slice(0, 10),
      init: () => ({ events: 0 }),
      apply: ({ events }) => ({ events: events + 1 }),
    }),
  );
  let receipt = { position: 0, events: [{ occurredAt: new Date() }] as readonly { occurredAt: Date }[] };
  for (let i = 0; i < 5; i++) receipt = await runtime.ref(Counter, 'a').add(1);
  await days.caughtUpTo(receipt);
  const entries = await days.entries();
  expect(entries.reduce((sum, { row }) => sum + row.events, 0)).toBe(5);
  expect(entries[0]!.key).toMatch(/^\d{4}-\d\d-\d\d$/);
});

const keysOfColumns: readonly [type: string, given: readonly string[], printed: string][] = [
  [
    'uuid',
    ['0198AB00-0000-7000-8000-00000000000F', '{0198ab0000007000800000000000000f}'],
    '0198ab00-0000-7000-8000-00000000000f',
  ],
  ['timestamptz', ['2026-11-26T08:00:00.000Z', '2026-11-26 09:00:00+01'], '2026-11-26 08:00:00+00'],
  ['date', ['2026-11-26', '20261126'], '2026-11-26'],
  ['numeric', ['7.0', '7.00', '7'], '7.0'],
  ['numeric(4, 1)', ['7.04', '7.0'], '7.0'],
  ['interval', ['1 day', '24:00:00', 'P1D'], '1 day'],
  ['character(5)', ['ab', 'ab  '], 'ab'],
  ['jsonb', ['{"b":1,"a":2}', '{"a": 2, "b": 1}'], '{"a": 2, "b": 1}'],
  ['int[]', ['{1,2}', '{ 1, 2 }'], '{1,2}'],
  ['reports.place', ['(1,"a b")', '(01,"a b")'], '(1,"a b")'],
  ['text collate reports.either_case', ['A', 'a'], 'A'],
];

test.each([
  { batchEvents: 1, cachedRows: 20_000 },
  { batchEvents: 50, cachedRows: 1 },
])(
  'a row is one row, however its key is written, over restarts: %o',
  async (settings) => {
    const round = `${settings.batchEvents}`;
    for (const [i, [type]] of keysOfColumns.entries()) {
      await administer(url, `create table reports.keys_${round}_${i} (id ${type} primary key, events int, gone bool)`);
    }
    const dataDir = scratchFolder();
    let receipt!: { position: number };
    for (let run = 1; run <= 2; run++) {
      const runtime = await startRuntime({ dataDir });
      const projections = keysOfColumns.map(([, given], i) =>
        runtime.project(
          defineProjection<{ events: number; gone: boolean }>({
            name: `keys-${round}-${i}`,
            events: ['Added'],
            into: { table: `reports.keys_${round}_${i}`, keyColumn: 'id', ...settings },
            key: ({ version }) => given[version % given.length]!,
            init: () => ({ events: 0, gone: false }),
            apply: ({ events, gone }, { data }) =>
              (data as { amount: number }).amount === 99 ? undefined : { events: events + 1, gone },
          }),
        ),
      );
      // The row goes in each run, and is made anew by another text of its key.
      for (const amount of [1, 1, 99, 1, 1, 1, 1]) receipt = await runtime.ref(Counter, `keys-${round}`).add(amount);
      for (const [i, projection] of projections.entries()) {
        await projection.caughtUpTo(receipt);
        const [type, given, printed] = keysOfColumns[i]!;
        const rows = await administer(url, `select events from reports.keys_${round}_${i}`);
        expect([type, rows]).toEqual([type, [{ events: 4 }]]);
        for (const text of given) expect(await projection.get(text)).toEqual({ events: 4, gone: false });
        expect((await projection.entries()).map(({ key }) => key.toLowerCase())).toHaveLength(1);
        if (given.length === 1) expect((await projection.entries())[0]!.key).toBe(printed);
      }
      await runtime.close();
    }
  },
  120_000,
);

test('tables that will not do are refused, and rows that do not fit stop the projection', async () => {
  const embedded = await startEmbedded();
  expect(() => embedded.project(totals())).toThrow(/needs a store outside of the data directory/);
  const runtime = await startRuntime();
  const reason = async (name: string, into: object): Promise<string> => {
    const projection = runtime.project(totals({ name, into: into as { table: string } }));
    return (await errorOf(projection.get('a'))).message;
  };
  expect(await reason('nowhere', { table: 'reports.nowhere' })).toMatch(/there is no table of this name/);
  expect(await reason('column', { table: 'reports.totals' })).toMatch(/has no column 'key'/);
  expect(await reason('unique', { table: 'reports.keyless', keyColumn: 'name' })).toMatch(/must be a primary key/);
  await administer(url, 'create table reports.narrow (key text primary key, total int check (total < 3), events int)');
  const narrow = runtime.project(
    defineProjection({
      name: 'narrow',
      into: { table: 'reports.narrow' },
      init: () => ({ total: 0, events: 0 }),
      apply: (row, { data }) => ({
        ...row,
        total: row.total + (data as { amount: number }).amount,
        events: row.events + 1,
      }),
    }),
  );
  await narrow.caughtUpTo(await runtime.ref(Counter, 'fits').add(2));
  await runtime.ref(Counter, 'fits').add(2);
  await until(
    () => narrow.status().state,
    (state) => state === 'stopped',
  );
  expect(narrow.status().lastError).toMatch(/violates check constraint/);
  expect(await narrow.get('fits')).toEqual({ total: 2, events: 1 });
  await administer(url, 'create table reports.strange (day date primary key, events int)');
  const stranger = runtime.project(
    defineProjection({
      name: 'stranger',
      into: { table: 'reports.strange', keyColumn: 'day' },
      key: ({ occurredAt }) => occurredAt.toISOString().slice(0, 10),
      init: () => ({ colour: 'red' }),
      apply: (row) => row,
    }),
  );
  await until(
    () => stranger.get('2026-01-01').then(() => stranger.status()),
    ({ state }) => state === 'stopped',
  );
  expect(stranger.status().lastError).toMatch(/have a field 'colour'/);
});

test('a column that a row leaves out has its default, whatever the other rows of its batch have', async () => {
  await administer(
    url,
    `create table reports.noted (key text primary key, total int not null default 7, note text default 'fresh', at timestamptz not null default now())`,
  );
  const client = await openClient({ connectionString: url }, { name: 'test', timeoutMs: 5000, isUsers: true });
  const table = await RowTable.find<object>(client, { table: 'reports.noted' }, () => ({ total: 0 }));
  await table.write(client, new Map([['a', { total: 1, note: 'old', at: '2020-01-01T00:00:00Z' }]]));
  const batch: [string, object | undefined][] = [
    ['a', { total: 2, note: 'old', at: '2020-01-01T00:00:00Z' }],
    ['b', { total: 3 }],
    ['c', {}],
    ['d', { note: null }],
    ['e', { note: 'e', total: 5 }],
    ['f', { total: 5, note: 'f' }],
    ['g', { key: 'another', note: 'g', total: 6 }], // the column's key counts, whatever the row says
  ];
  await table.write(client, new Map(batch));
  await table.write(client, new Map([['e', undefined]]));
  await client.end();
  const sql = 'select key, total, note, at > now() - interval \'1 year\' as "isNew" from reports.noted order by key';
  expect(await administer(url, sql)).toEqual([
    { key: 'a', total: 2, note: 'old', isNew: false },
    { key: 'b', total: 3, note: 'fresh', isNew: true },
    { key: 'c', total: 7, note: 'fresh', isNew: true },
    { key: 'd', total: 7, note: null, isNew: true },
    { key: 'f', total: 5, note: 'f', isNew: true },
    { key: 'g', total: 6, note: 'g', isNew: true },
  ]);
});

test.each(['', 'x'.repeat(1001), '\ud800', 7])(
  'a batch that names row %j is refused before a row is read',
  async (key) => {
    const definition = { ...totals(), key: () => ['whole', key as string] };
    const event = { aggregateId: 'a' } as StoredEvent;
    const unread = undefined as never;
    const folding = foldBatch(definition, unread, Promise.resolve(unread), [event, event], new KnownRows(1));
    expect(await errorOf(folding)).toMatchObject({ code: 'InvalidId', details: { what: 'row key' } });
  },
);

test('columns may have the names that our statements use', async () => {
  const names = ['value', 'given', 'place', 'w', 't', 'page', 'done', 'wanted', 'excluded', 'trunkline_key', 'last'];
  const columns = names.map((name) => `"${name}" int`).join();
  await administer(url, `create table reports.named (size text primary key, ${columns})`);
  const runtime = await startRuntime();
  const first = Object.fromEntries(names.map((name) => [name, 0]));
  const projection = runtime.project(
    defineProjection<Record<string, number>>({
      name: 'named',
      aggregates: [Counter],
      into: { table: 'reports.named', keyColumn: 'size', cachedRows: 1 },
      init: () => first,
      apply: (row, { aggregateId }) =>
        aggregateId === 'gone' ? undefined : Object.fromEntries(names.map((name) => [name, row[name]! + 1])),
    }),
  );
  const ids = ['a', 'b', 'gone'];
  for (const id of ids) await runtime.ref(Counter, id).add(1);
  await projection.caughtUpTo(runtime.status().written);
  await projection.rebuild();
  for (const id of ids) await runtime.ref(Counter, id).add(1);
  await projection.caughtUpTo(runtime.status().written);
  const row = Object.fromEntries(names.map((name) => [name, 2]));
  expect(await projection.entries()).toEqual([
    { key: 'a', row },
    { key: 'b', row },
  ]);
});

test('a row that another has nested thousands deep is told and left out; all others are read, as deep as they may be', async () => {
  await administer(url, 'create table reports.nested (key text primary key, value jsonb)');
  const runtime = await startRuntime();
  const projection = runtime.project(
    defineProjection<{ value: unknown }>({
      name: 'nested',
      aggregates: [Counter],
      into: { table: 'reports.nested' },
      init: () => ({ value: null }),
      apply(_, { aggregateId }) {
        let value: unknown = 1;
        for (let i = 0; i < (aggregateId === 'a' ? 200 : 1); i++) value = [value];
        return { value };
      },
    }),
  );
  for (const id of ['a', 'b', 'c', 'd']) await runtime.ref(Counter, id).add(1);
  await projection.caughtUpTo(runtime.status().written);
  const deep = `(repeat('[', 5000) || '"' || repeat('x', 99) || '"' || repeat(']', 5000))`;
  await administer(url, `update reports.nested set value = ${deep}::jsonb where key = 'b'`);
  const told: unknown[] = [];
  const keysOf = async (limit?: number): Promise<string[]> =>
    (await projection.entries({ limit })).map(({ key }) => key);
  expect([await keysOf(), await keysOf(2), await keysOf(1)]).toEqual([['a', 'c', 'd'], ['a', 'c'], ['a']]);
  expect(await errorOf(projection.get('b'))).toMatchObject({ code: 'RecordInvalid' });
  expect(await projection.get('c')).toEqual({ value: [1] });
  const client = await openClient({ connectionString: url }, { name: 'test', timeoutMs: 5000, isUsers: true });
  const table = await RowTable.find<object>(client, { table: 'reports.nested' }, () => ({}));
  await table.range(client, {}, (key, error) => told.push([key, (error as Error).message]));
  expect(told).toEqual([
    ['b', expect.stringContaining("column 'value' of row 'b' cannot be understood: is nested deep")],
  ]);
  await client.end();
});

test('a lock, and whatever else passes at the server, holds a projection up and does not stop it', async () => {
  await administer(
    url,
    `create schema held; create table held.sums (key text primary key, total int); create sequence held.met;
     create function held.up() returns trigger language plpgsql as $$
     declare codes text[] := array['40P01', '40001', '57014', '55P03', '57P01'];
     begin
       if new.key = 'unlucky' and nextval('held.met') <= 5 then
         raise exception using errcode = codes[currval('held.met')], message = 'as it happens';
       end if;
       return new;
     end $$;
     create trigger up before insert on held.sums for each row execute function held.up()`,
  );
  const dataDir = scratchFolder();
  const { connectionString, schema } = { connectionString: url, schema: schemaOf(dataDir) };
  const store = postgres({ connectionString, schema, migrate: true, statementTimeoutMs: 2000 });
  const runtime = await startRuntime({ dataDir, store });
  const projection = runtime.project(sums('sums', 'held.sums', 1));
  await projection.caughtUpTo(await runtime.ref(Counter, 'first').add(1));
  const locking = await openClient({ connectionString: url }, { name: 'test', timeoutMs: 0 });
  await locking.query('begin; lock table held.sums in access exclusive mode');
  const locked = await runtime.ref(Counter, 'second').add(1);
  await until(
    () => projection.status().lastError,
    (error) => error?.includes('lock timeout') === true,
  );
  await locking.query('commit');
  await locking.end();
  await projection.caughtUpTo(locked);
  await projection.caughtUpTo(await runtime.ref(Counter, 'unlucky').add(1));
  const [{ last_value: met }] = await administer(url, 'select last_value::int from held.met');
  expect(met).toBe(6);
  expect(projection.status()).toMatchObject({ state: 'live', failures: 0 });
});

test("what a trigger of a projection's table sets in its session, the next handler does not see", async () => {
  await administer(
    url,
    `create table reports.audited (name text primary key, total int not null);
     create function reports.audit() returns trigger language plpgsql as $$
       begin perform set_config('audit.by', 'the trigger', false); return new; end $$;
     create trigger audit before insert on reports.audited for each row execute function reports.audit()`,
  );
  const runtime = await startRuntime({ dataDir: scratchFolder() });
  const projection = runtime.project(
    defineProjection<{ total: number }>({
      name: 'audited',
      aggregates: [Counter],
      into: { table: 'reports.audited', keyColumn: 'name' },
      init: () => ({ total: 0 }),
      apply: ({ total }) => ({ total: total + 1 }),
    }),
  );
  await projection.caughtUpTo(await runtime.ref(Counter, 'a').add(1));
  await projection.caughtUpTo(await runtime.ref(Counter, 'b').add(1)); // into the table itself
  const seen: unknown[] = [];
  const handler = runtime.subscribe({
    name: 'reading',
    async handle(_, { tx }) {
      const client = await tx.client();
      seen.push(...(await client.query(`select current_setting('audit.by', true) as by`)).rows);
    },
  });
  await handler.caughtUpTo(runtime.status().written);
  expect(seen.length).toBeGreaterThan(0);
  expect(seen.filter((row) => (row as { by: string | null }).by === 'the trigger')).toEqual([]);
});
