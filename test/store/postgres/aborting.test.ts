// A signal that aborts while a connection is awaited, when it comes, or in the middle of a read: the call ends with the
// signal's reason, and the connection is given back, once.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { expect, onTestFinished, test, vi } from 'vitest';
import { PostgresSink } from '../../../src/adapters/postgres/flush/sink.ts';
import { configOf } from '../../../src/adapters/postgres/session/connection.ts';
import { openClient } from '../../../src/adapters/postgres/session/server-session.ts';
import { openEventStore, postgres } from '../../../src/index.ts';
import { tailEvents } from '../../../src/postgres.ts';
import { administer, migratedDatabase } from '../../postgres.ts';
import { until } from '../../runtime/scratch.ts';

const reason = new Error('the user went away');

async function all<T>(each: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of each) found.push(one);
  return found;
}

async function reasonOf(work: () => AsyncIterable<unknown>): Promise<unknown> {
  try {
    await all(work());
    return undefined;
  } catch (error) {
    return error;
  }
}

test('reads that are aborted give their connections back, and do not shut the store for others', async () => {
  const url = await migratedDatabase();
  const connections = (): Promise<unknown[]> =>
    administer(
      url,
      `select from pg_stat_activity where datname = current_database() and application_name like 'trunkline%'`,
    );
  const waiting = (): Promise<unknown[]> =>
    administer(url, `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`);
  const store = await openEventStore(
    postgres({ connectionString: url, loadTimeoutMs: 60_000, statementTimeoutMs: 600_000 }),
  );
  const heads = async (): Promise<number> => (await all(store.heads('account'))).length;
  const aborted = async (count: number, when: () => unknown): Promise<void> => {
    const controller = new AbortController();
    const reads = Array.from({ length: count }, () => reasonOf(() => store.query({ signal: controller.signal })));
    await when();
    controller.abort(reason);
    expect(await Promise.all(reads)).toEqual(Array(count).fill(reason));
  };
  expect(await heads()).toBe(0);

  await aborted(6, () => {}); // a connection is awaited, in the same turn
  expect(await heads()).toBe(0);

  const holder = new pg.Client({ connectionString: url });
  await holder.connect();
  await holder.query('begin; lock table trunkline.domain_events in access exclusive mode');
  // The server notices that a client has gone only once the lock is there.
  const wait = (count: number) => (): Promise<unknown> => until(waiting, (rows) => rows.length === count);
  await aborted(6, wait(4)); // four in the middle of a read, two that wait for a connection
  await aborted(4, wait(8));
  expect(await heads()).toBe(0);
  // Those with a connection may go on, those that wait for one give up.
  const busy = Array.from({ length: 4 }, () => all(store.query()));
  await wait(12)();
  await aborted(6, () => {});
  await holder.query('rollback');
  await holder.end();
  expect(await Promise.all(busy)).toEqual([[], [], [], []]);
  expect(await Promise.all(Array.from({ length: 8 }, heads))).toEqual(Array(8).fill(0));
  await store.close();
  await until(connections, (rows) => rows.length === 0);
});

test.each([
  ['without a signal', undefined],
  ['with a signal that never aborts', new AbortController().signal],
])('an iteration that is left gives back the connection of the page that it reads ahead, %s', async (_, signal) => {
  const url = await migratedDatabase();
  await administer(
    url,
    `insert into trunkline.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data)
     select gen_random_uuid(), 'stock', 'a', i, 'Sold', 1, now(), '{}' from generate_series(1, 10) i`,
  );
  const pool = new pg.Pool({ connectionString: url });
  let pages = 0;
  pool.on('connect', (client) => {
    const { query } = client;
    client.query = ((...asked: [{ text?: string }]) => {
      // The server is still at work on that page when the iteration is left: the statement is ended behind the test.
      const isPage = asked[0].text?.includes('copy (select ') ?? false;
      if (isPage && ++pages === 3) asked[0].text = 'copy (select pg_sleep(600)) to stdout';
      return (query as (...asked: unknown[]) => unknown).apply(client, asked);
    }) as never;
  });
  const store = await openEventStore(postgres({ pool }));
  onTestFinished(async () => {
    await store.close();
    await administer(
      url,
      `select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()`,
    );
    await pool.end();
  });
  for await (const { version } of store.query({ pageSize: 4, ...(signal && { signal }) })) if (version === 5) break;
  expect(pages).toBe(3);
  await vi.waitUntil(() => pool.idleCount === pool.totalCount, 20_000);
  expect(await all(store.heads('stock'))).toEqual([]); // nothing has shut the store
});

test('no connection is opened for a signal that has aborted', async () => {
  const url = await migratedDatabase();
  const signal = AbortSignal.abort(reason);
  const settings = { ...postgres({ connectionString: url }).settings };
  const sink = new PostgresSink(settings, 'log-of-this-test', 1, { quarantined() {} });
  await expect(openClient(configOf(url), { name: 'test', timeoutMs: 1000 }, signal)).rejects.toBe(reason);
  await expect(sink.write({} as never, signal)).rejects.toThrow();
  expect(await reasonOf(() => tailEvents({ connection: url, signal }))).toBe(reason);
  const open = `select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`;
  await until(
    () => administer(url, open),
    (rows) => rows.length === 0,
  );
});

test('signals are listened to in one place, which looks whether they have aborted already', () => {
  const src = fileURLToPath(new URL('../../../src', import.meta.url));
  const listening = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(
    (path) =>
      path.endsWith('.ts') && /addEventListener\(\s*'abort'|\.onabort\b/.test(readFileSync(`${src}/${path}`, 'utf8')),
  );
  expect(listening).toEqual(['base/on-abort.ts']);
});
