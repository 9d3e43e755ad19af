// Where the settings of a session are others' (a pooler, a client of the user's), each statement brings its own along, in the same
// round trip; and a policy on a table of ours that hides rows from the role is an error there, not a smaller result.
import pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { PostgresAggregateReader } from '../../../src/adapters/postgres/read/aggregate-reader.ts';
import { copiedOut } from '../../../src/adapters/postgres/rows/copy-out.ts';
import { bringsPath } from '../../../src/adapters/postgres/session/own-path.ts';
import { openClient } from '../../../src/adapters/postgres/session/server-session.ts';
import { beginSql } from '../../../src/adapters/postgres/session/session-sql.ts';
import { openEventStore, postgres } from '../../../src/index.ts';
import { PgBouncer } from '../../pgbouncer.ts';
import { administer, migratedDatabase } from '../../postgres.ts';
import { errorOf } from '../../runtime/scratch.ts';
import { pgbouncer } from '../../services.ts';

const role = `hidden_${process.pid}`;
let url: string;

beforeAll(async () => {
  url = await migratedDatabase();
  await administer(
    url,
    `select trunkline.raise_event('stock', 'a', 'Sold', '{}') from generate_series(1, 3);
     create role ${role} login password 'p'; grant usage on schema trunkline to ${role};
     grant select on all tables in schema trunkline to ${role}`,
  );
});
afterAll(() => administer(url, `drop owned by ${role}; drop role ${role}`));

/** How often a client of this thread asks a server meanwhile. */
async function trips(work: () => Promise<unknown>): Promise<number> {
  const asked = vi.spyOn(pg.Client.prototype, 'query');
  try {
    await work();
    return asked.mock.calls.length;
  } finally {
    asked.mockRestore();
  }
}

test.skipIf(!pgbouncer.isPresent())('a load takes as many trips behind a pooler as without one', async () => {
  await using bouncer = await PgBouncer.before(url);
  const taken: number[] = [];
  for (const connectionString of [url, bouncer.url]) {
    const reader = new PostgresAggregateReader(postgres({ connectionString }).settings, 'a-log');
    const load = async (): Promise<void> => {
      expect(await reader.load('stock', 'a', '', 0, 1)).toMatchObject({ version: 3, eventCount: 3 });
    };
    await load(); // connects, and takes the aggregate over
    taken.push(await trips(load));
    await reader.close();
  }
  expect(taken).toEqual([2, 2]);
});

test('a copy that brings its settings along comes whole, however slowly it is read; an error and an early end leave the connection good', async () => {
  const client = await openClient({ connectionString: url }, { name: 'test', timeoutMs: 20_000 });
  bringsPath(client);
  await client.query(`set search_path = public`);
  const lines = 20_000;
  const sql = `copy (select current_setting('search_path') || repeat('x', 1000) from generate_series(1, ${lines})) to stdout`;
  let bytes = 0;
  let start = '';
  const read = async (): Promise<void> => {
    for await (const piece of copiedOut(client, sql)) {
      start ||= piece.toString('latin1', 0, 21);
      bytes += piece.length;
      if (bytes % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  expect(await trips(read)).toBe(1);
  expect([start, bytes]).toEqual(['pg_catalog, pg_tempxx', lines * (19 + 1000 + 1)]);
  const none = (async () => {
    for await (const _ of copiedOut(client, 'copy (select 1 / 0) to stdout'));
  })();
  expect(await errorOf(none)).toMatchObject({ code: '22012' });
  for await (const _ of copiedOut(client, sql)) break;
  expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  expect((await client.query({ text: `select current_setting('search_path') as path` })).rows).toEqual([
    { path: 'pg_catalog, pg_temp' },
  ]);
  await client.query(beginSql());
  const inside = await client.query(`select current_setting('row_security') as row_security`);
  expect(inside.rows).toEqual([{ row_security: 'off' }]);
  await client.end();
});

test('rows that a policy hides are an error on a pool of the user’s, too', async () => {
  const own = new URL(url);
  [own.username, own.password] = [role, 'p'];
  const pool = new pg.Pool({ connectionString: own.href, max: 1 });
  pool.on('error', () => {});
  await using store = await openEventStore(postgres({ pool }));
  expect(await store.getByAggregate('stock', 'a')).toHaveLength(3);
  const hide = (table: string): Promise<unknown> =>
    administer(
      url,
      `alter table trunkline.${table} enable row level security; create policy hiding on trunkline.${table} for select using (false)`,
    );
  await hide('domain_events');
  expect(await errorOf(store.getByAggregate('stock', 'a'))).toMatchObject({ code: 'StoreAccessDenied' });
  await hide('aggregates');
  expect(await errorOf(store.head('stock', 'a'))).toMatchObject({ code: 'StoreAccessDenied' });
  await pool.end();
});
