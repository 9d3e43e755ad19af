// A database that comes back from an earlier state while the runtime goes on: an older dump put back, or a failover to a
// standby that lacked the newest transactions. What it lacks is written again from the log; it is not called fenced.
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { migrate, postgres, type Runtime, type Subscription } from '../../../src/index.ts';
import { copyDatabase } from '../../outbox/database-copy.ts';
import { administer, migratedDatabase } from '../../postgres.ts';
import { Counter } from '../../runtime/aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from '../../runtime/scratch.ts';

let connectionString: string;
let client: pg.Client;

beforeEach(async () => {
  connectionString = await migratedDatabase();
  client = new pg.Client({ connectionString });
  await client.connect();
});
afterEach(() => client.end());

const add = async (runtime: Runtime, ids: readonly string[]): Promise<void> => {
  await Promise.all(ids.map((id) => runtime.ref(Counter, id).with({ ack: 'stored' }).add(1)));
};

const versions = async (): Promise<any[]> =>
  administer(
    connectionString,
    `select aggregate_id as id, array_agg(version order by version) as versions from trunkline.domain_events
     group by 1 order by 1`,
  );

// With and without the connections being lost: a restore in place keeps them, a failover does not.
test.each([false, true])(
  'what the database lacks is written again while the runtime goes on; connections cut: %s',
  async (cut) => {
    const warned: string[] = [];
    const error = ({ err }: { err?: { code: string } }): void => void (err && warned.push(err.code));
    const logger: any = { debug() {}, info() {}, warn() {}, error };
    const runtime = await startRuntime({ store: postgres({ connectionString }), shards: 1, logger });
    await add(runtime, ['a', 'b']);
    const copy = await copyDatabase(client, 'trunkline');
    await add(runtime, ['a', 'b', 'c']);
    await add(runtime, ['a', 'c']);
    await copy.putBack();
    if (cut) {
      await client.query(`select pg_terminate_backend(pid) from pg_stat_activity
      where application_name in ('trunkline flush', 'trunkline relay') and datname = current_database()`);
    }
    await add(runtime, ['b', 'd']);
    expect(await versions()).toEqual([
      { id: 'a', versions: [1, 2, 3] },
      { id: 'b', versions: [1, 2, 3] },
      { id: 'c', versions: [1, 2] },
      { id: 'd', versions: [1] },
    ]);
    expect(runtime.status()).toMatchObject({ state: 'open', quarantined: 0 });
    expect(warned).toContain('StoreBehind');
    expect(warned).not.toContain('LogFenced');
  },
);

test('a database that is empty again, its schema made anew, is filled from the log', async () => {
  const runtime = await startRuntime({ dataDir: scratchFolder(), store: postgres({ connectionString }), shards: 1 });
  await add(runtime, ['a', 'b']);
  await client.query('drop schema trunkline cascade');
  await migrate({ connection: connectionString });
  await add(runtime, ['a']);
  await until(versions, (rows) => rows.length === 2);
  expect(await versions()).toEqual([
    { id: 'a', versions: [1, 2] },
    { id: 'b', versions: [1] },
  ]);
});

test('handlers whose checkpoints went back with the database end by name, and go on from what it has', async () => {
  const options = { dataDir: scratchFolder(), store: postgres({ connectionString }), shards: 1 };
  const subscribe = (runtime: Runtime): Subscription =>
    runtime.subscribe({
      name: 'count',
      handle: async ({ aggregateId }, { tx }) =>
        tx.put('counts', aggregateId, ((await tx.get<number>('counts', aggregateId)) ?? 0) + 1),
    });
  const first = await startRuntime(options);
  const subscription = subscribe(first);
  const kept = async (): Promise<void> => {
    await subscription.pause();
    await subscription.resume();
  };
  await add(first, ['a', 'b']);
  await subscription.caughtUpTo(first.status().written);
  await kept();
  const copy = await copyDatabase(client, 'trunkline');
  await add(first, ['a', 'b', 'c']);
  await subscription.caughtUpTo(first.status().written);
  await kept();
  await copy.putBack();
  await add(first, ['a']);
  expect(await errorOf(subscription.caughtUpTo(first.status().written).then(() => kept()))).toMatchObject({
    code: 'StoreBehind',
    message: expect.stringContaining("handler 'count'"),
  });
  await until(
    () => subscription.status().state,
    (state) => state === 'failed',
  );
  await first.close();
  const second = await startRuntime(options);
  await subscribe(second).caughtUpTo(second.status().written);
  const counts = (await second.effects.range('counts')).map(({ key, value }) => [key, value]);
  expect(counts).toEqual([
    ['a', 3],
    ['b', 2],
    ['c', 1],
  ]);
});

test('a handler that began at some now begins there again, if the database has forgotten it', async () => {
  const options = { dataDir: scratchFolder(), store: postgres({ connectionString }), shards: 1 };
  const handled: string[] = [];
  const subscribe = (runtime: Runtime): Subscription =>
    runtime.subscribe({ name: 'late', from: 'now', handle: ({ aggregateId }) => void handled.push(aggregateId) });
  const first = await startRuntime(options);
  await add(first, ['before']);
  const copy = await copyDatabase(client, 'trunkline');
  await subscribe(first).caughtUpTo(first.status().written);
  await add(first, ['a', 'b']);
  await first.close();
  await copy.putBack();
  handled.length = 0;
  const second = await startRuntime(options);
  await add(second, ['c']);
  await subscribe(second).caughtUpTo(second.status().written);
  expect(handled.sort()).toEqual(['a', 'b', 'c']);
});
