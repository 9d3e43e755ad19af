// A client that disappears without a word (power, network) in the middle of a transaction of ours: what it has locked is free
// again after seconds, not after the two hours that TCP takes by itself. And a handler's transaction of legal length stands.
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { expect, test } from 'vitest';
import { PostgresSink } from '../../../src/adapters/postgres/flush/sink.ts';
import { keepPartitions } from '../../../src/adapters/postgres/schema/months.ts';
import { configOf } from '../../../src/adapters/postgres/session/connection.ts';
import { flushName } from '../../../src/adapters/postgres/session/frozen.ts';
import { destroyClient, openClient } from '../../../src/adapters/postgres/session/server-session.ts';
import { beginSql, silentMs } from '../../../src/adapters/postgres/session/session-sql.ts';
import { postgres } from '../../../src/index.ts';
import { administer, migratedDatabase } from '../../postgres.ts';
import { TcpProxy } from '../../proxy.ts';
import { Counter } from '../../runtime/aggregates.ts';
import { startRuntime, until } from '../../runtime/scratch.ts';

const long = { timeout: 90_000 };

async function migrated(): Promise<string> {
  const url = await migratedDatabase();
  return url;
}

/** From this request on nothing of its connection comes to the server, not even its end. */
const silence = (words: string) => ({
  matches: (request: Buffer) => request.includes(words),
  at: 'before' as const,
  spring: () => new Promise<void>(() => {}),
});

const standing = (url: string): Promise<{ application_name: string }[]> =>
  administer(
    url,
    `select application_name from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`,
  );

test('a flush, a commit of handlers and an upkeep that fall silent let go of their locks', long, async () => {
  const url = await migrated();
  await using proxy = await TcpProxy.before(Number(new URL(url).port || 5432));
  const through = proxy.through(url);
  const store = postgres({ connectionString: through, statementTimeoutMs: 500, loadTimeoutMs: 500 });
  const runtime = await startRuntime({ store, shards: 1 });
  const subscription = runtime.subscribe({ name: 'all', handle() {} });
  const first = await runtime.ref(Counter, 'a').with({ ack: 'stored' }).add(1);
  await subscription.caughtUpTo(first);

  // Traps are set one after the other: all three connections stand at the same time.
  const upkeep = await openClient(configOf(through), { name: 'trunkline upkeep', timeoutMs: 500 });
  proxy.set(silence('.make_partition('));
  await expect(keepPartitions(upkeep, 'trunkline', 3)).rejects.toThrow();
  destroyClient(upkeep);
  proxy.set(silence('copy "trunkline".domain_events'));
  const receipt = await runtime.ref(Counter, 'a').add(1);
  await until(
    () => proxy.sprung,
    (sprung) => sprung === 2,
  );
  proxy.set(silence('event_handler_positions as p'));
  await runtime.ref(Counter, 'a').add(1);
  await until(
    () => proxy.sprung,
    (sprung) => sprung === 3,
  );

  await receipt.reached('stored');
  const positions = 'select position::float8 as position from trunkline.event_handler_positions';
  await until(
    () => administer(url, positions),
    ([row]) => row.position === runtime.status().written,
    60_000,
  );
  expect(await runtime.store.getByAggregate(Counter, 'a')).toHaveLength(3);
  await until(
    () => standing(url),
    (rows) => rows.length === 0,
    60_000,
  );
});

test('a flusher that connects again ends its former connection, which stands in a COPY', long, async () => {
  const url = await migrated();
  const logId = 'log-of-this-test';
  const events = { quarantined() {} };
  const sink = (): PostgresSink => new PostgresSink(postgres({ connectionString: url }).settings, logId, 1, events);
  const before = sink();
  await before.open();
  await before.close();
  const former = new pg.Client({ connectionString: url, application_name: flushName });
  former.on('error', () => {});
  await former.connect();
  await former.query(
    `${beginSql()}; update trunkline.flush_checkpoints set position = position; lock table trunkline.aggregates in row share mode`,
  );
  const copy = former.query(copyFrom('copy trunkline.snapshots from stdin'));
  copy.on('error', () => {});
  copy.write('x'); // and nothing more
  const again = sink();
  expect(await again.open()).toBe(0);
  await again.close();
  destroyClient(former);
});

test('a transaction of a handler may stand idle for as long as the handler may take', long, async () => {
  const connectionString = await migrated();
  const runtime = await startRuntime({ store: postgres({ connectionString }), shards: 1 });
  const idle = async (client: { query(sql: string): Promise<{ rows: unknown[] }> }): Promise<number> => {
    const sql = `select setting::int as ms from pg_settings where name = 'idle_in_transaction_session_timeout'`;
    return ((await client.query(sql)).rows[0] as { ms: number }).ms;
  };
  const found: number[] = [];
  const subscription = runtime.subscribe({
    name: 'slow',
    timeoutMs: 600_000,
    handle: async (_, { tx }) => void found.push(await idle(await tx.client())),
  });
  await subscription.caughtUpTo(await runtime.ref(Counter, 'a').add(1));
  expect(found).toEqual([600_000 + silentMs]);
  // What `once` runs has no time-out.
  expect(await runtime.once('key', async (tx) => idle(await tx.client()))).toBe(0);
});

test('the server asks after a client that says nothing, and every session of ours has a bound', async () => {
  const url = await migrated();
  const wanted = {
    tcp_keepalives_idle: '10',
    tcp_keepalives_interval: '5',
    tcp_keepalives_count: '3',
    tcp_user_timeout: '60000',
    idle_in_transaction_session_timeout: String(silentMs),
  };
  for (const isUsers of [false, true]) {
    const client = await openClient(configOf(url), { name: 'test', timeoutMs: 1000, isUsers });
    const { rows } = await client.query('select name, setting from pg_settings where name = any($1)', [
      Object.keys(wanted),
    ]);
    const outside = Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
    // What a user's code reads, it may read slowly; what it leaves standing has the bound of its own transaction.
    const ofUsers = { tcp_user_timeout: '0', idle_in_transaction_session_timeout: '0' };
    expect(outside).toEqual({ ...wanted, ...(isUsers && ofUsers) });
    await client.query(beginSql());
    const inside = await client.query(`select current_setting('idle_in_transaction_session_timeout') as bound`);
    expect(inside.rows).toEqual([{ bound: `${silentMs / 1000}s` }]);
    await client.end();
  }
});
