// Another transaction holds the head of one aggregate and stays open: that aggregate's events wait in the log, all others' are
// stored meanwhile. Whatever becomes of the transaction, of the connection or of the process: each event once, in order.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { createRuntime, postgres, type Runtime } from '../../../src/index.ts';
import { copyDatabase } from '../../outbox/database-copy.ts';
import { administer, migratedDatabase } from '../../postgres.ts';
import { commits, TcpProxy } from '../../proxy.ts';
import { Counter } from '../../runtime/aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from '../../runtime/scratch.ts';
import { Clients } from './clients.ts';

const long = { timeout: 300_000 }; // on a machine that may be busy
const clients = new Clients();
let connectionString: string;
let blocker: pg.Client;

beforeEach(async () => {
  connectionString = await migratedDatabase();
  blocker = await clients.connect(connectionString, 'an application');
});
afterAll(() => clients.end());

const start = (options: object = {}, store: object = {}): Promise<Runtime> =>
  startRuntime({
    store: postgres({ connectionString, heldBytes: 16 << 20, ...store }),
    shards: 1,
    waitTimeoutMs: 60_000,
    ...options,
  });

const add = (runtime: Runtime, id: string) => runtime.ref(Counter, id).with({ ack: 'stored' }).add(1);
const addSoon = (runtime: Runtime, id: string) => runtime.ref(Counter, id).add(1);

/** In the order in which they were stored. */
const versions = async (id: string): Promise<number[]> => {
  const sql = 'select version from trunkline.domain_events where aggregate_id = $1 order by sequence';
  return (await administer(connectionString, sql, [id])).map(({ version }) => version);
};
const held = (): Promise<{ aggregate_id: string }[]> =>
  administer(connectionString, 'select aggregate_id, position::int from trunkline.held_aggregates order by position');
const isHeld = (id: string) => until(held, (rows) => rows.some(({ aggregate_id }) => aggregate_id === id), 60_000);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

const lockHead = (id: string) =>
  blocker.query(`begin; select from trunkline.aggregates where aggregate_id = ${pg.escapeLiteral(id)} for update`);
/** A head that is there once the transaction is committed. */
const makeHead = (id: string, type = 'counter') =>
  blocker.query(`begin; insert into trunkline.aggregates (aggregate_type, aggregate_id, version, previous_version,
    first_occurred_at, last_occurred_at) values ('${type}', ${pg.escapeLiteral(id)}, 1, 0, now(), now())`);

test.each(['commit', 'rollback'])('a locked head holds its own aggregate alone, until %s', long, async (end) => {
  const runtime = await start();
  await add(runtime, 'held');
  await lockHead('held');
  const first = await addSoon(runtime, 'held');
  await Promise.all(upTo(20).map((n) => add(runtime, `free ${n}`)));
  const second = await addSoon(runtime, 'held');
  await add(runtime, 'free 1');
  await isHeld('held');
  expect(await versions('free 1')).toEqual([1, 2]);
  expect(await versions('held')).toEqual([1]);
  // What is not stored is not said to be, and what is can be read.
  expect(runtime.status().stored).toBeLessThan(first.position);
  expect(await runtime.store.getByAggregate(Counter, 'free 1')).toHaveLength(2);
  const aborted = await errorOf(second.reached('stored', { signal: AbortSignal.timeout(50) }));
  expect(aborted.name).toBe('TimeoutError');
  const all: string[] = [];
  for await (const event of runtime.events()) all.push(`${event.aggregateId} ${event.version}`);
  expect(all).toHaveLength(24);
  expect(all.filter((one) => one.startsWith('held'))).toEqual(['held 1', 'held 2', 'held 3']);

  await blocker.query(end);
  await Promise.all([first.reached('stored'), second.reached('stored')]);
  await add(runtime, 'held');
  await runtime.reached('stored');
  expect(await versions('held')).toEqual(upTo(4));
  expect(await held()).toEqual([]);
  const { written, stored, quarantined } = runtime.status();
  expect({ stored, quarantined }).toEqual({ stored: written, quarantined: 0 });
});

test('a head that another has made and not committed holds its aggregate alone', long, async () => {
  const runtime = await start();
  await makeHead('held');
  const receipts = await Promise.all(['a', 'b', 'held', 'c', 'd'].map((id) => addSoon(runtime, id)));
  await Promise.all(receipts.filter((_, i) => i !== 2).map((receipt) => receipt.reached('stored')));
  await isHeld('held');
  await blocker.query('rollback');
  await receipts[2]!.reached('stored');
  expect(await versions('held')).toEqual([1]);
});

test('who holds an aggregate and writes it is found as ever: what comes too late is quarantined', long, async () => {
  const runtime = await start();
  await makeHead('held');
  const late = await addSoon(runtime, 'held');
  await add(runtime, 'free');
  await isHeld('held');
  await blocker.query('commit');
  expect(await errorOf(late.reached('stored'))).toMatchObject({ code: 'Quarantined', details: { version: 1 } });
  const [refused, ...others] = await administer(
    connectionString,
    'select aggregate_id, code from trunkline.quarantined_events',
  );
  expect([refused, others]).toEqual([{ aggregate_id: 'held', code: 'Fenced' }, []]);
  expect(await held()).toEqual([]);
  await runtime.reached('stored');
  expect(runtime.status().quarantined).toBe(1);
  await add(runtime, 'free');
});

test('what one command has said of several aggregates waits together, and what follows behind it', long, async () => {
  const runtime = await start();
  const event = (aggregateId: string) => ({ aggregateType: 'account', aggregateId, type: 'Moved', data: {} });
  await runtime.publisher.publishBatch([event('a'), event('b'), event('c')], { ack: 'stored' });
  await lockHead('a');
  await runtime.publisher.publishBatch([event('b')], { ack: 'stored' });
  const both = await runtime.publisher.publishBatch([event('a'), event('b')]);
  await runtime.publisher.publishBatch([event('c')], { ack: 'stored' });
  const behind = await runtime.publisher.publishBatch([event('b')]);
  await runtime.publisher.publishBatch([event('c')], { ack: 'stored' });
  await isHeld('b');
  expect([await versions('a'), await versions('b'), await versions('c')]).toEqual([[1], [1, 2], [1, 2, 3]]);
  await blocker.query('commit');
  for (const receipt of [both, behind]) await receipt.reached('stored');
  expect([await versions('a'), await versions('b')]).toEqual([[1, 2], upTo(4)]);
});

test('replies to COMMIT that get lost, while an aggregate is held and when it is settled', long, async () => {
  await using proxy = await TcpProxy.before(Number(new URL(connectionString).port || 5432));
  const runtime = await start({}, { connectionString: proxy.through(connectionString) });
  await add(runtime, 'held');
  await lockHead('held');
  for (const at of ['before', 'after'] as const) {
    proxy.set({ matches: commits, at });
    await addSoon(runtime, 'held');
    await add(runtime, 'free');
  }
  await isHeld('held');
  proxy.set({ matches: commits, at: 'after' });
  await blocker.query('commit');
  await runtime.reached('stored');
  expect(proxy.sprung).toBe(3);
  expect([await versions('held'), await versions('free')]).toEqual([upTo(3), upTo(2)]);
  expect(runtime.status().quarantined).toBe(0);
});

test('a process that is killed while an aggregate is held has lost nothing, and doubles nothing', long, async () => {
  const dataDir = scratchFolder();
  const before = await createRuntime({
    logger: false,
    dataDir,
    aggregates: [Counter],
    shards: 1,
    store: postgres({ connectionString, heldBytes: 16 << 20 }),
  });
  await add(before, 'held');
  await before.close();
  await lockHead('held');
  const words = [
    '--conditions=trunkline-source',
    new URL('./held-child.ts', import.meta.url).pathname,
    dataDir,
    connectionString,
  ];
  const child = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));
  const flushes = await clients.connect(connectionString);
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'stored') {
      await flushes.query('begin; select from trunkline.flush_checkpoints for update'); // what follows is in the log alone
      child.stdin.write('more');
    } else if (line === 'more') child.kill('SIGKILL');
  }
  expect(await exited).toBe('SIGKILL');
  await flushes.query('rollback');

  const runtime = await start({ dataDir });
  await addSoon(runtime, 'held');
  await add(runtime, 'free 1');
  expect(await versions('held')).toEqual([1]);
  await runtime.close();
  const again = await start({ dataDir });
  await add(again, 'free 2');
  expect((await again.state(Counter, 'held'))?.state.total).toBe(6);
  await blocker.query('rollback');
  await again.reached('stored');
  expect([await versions('held'), await versions('free 1'), await versions('free 2')]).toEqual([
    upTo(6),
    upTo(3),
    upTo(2),
  ]);
  expect(await held()).toEqual([]);
  expect(await administer(connectionString, 'select from trunkline.quarantined_events')).toEqual([]); // of no run
});

test('beyond the bound the flush waits, and goes on when the lock is free', long, async () => {
  const codes: string[] = [];
  const error = ({ err }: { err?: { code: string; message: string } }): void => void (err && codes.push(err.message));
  const runtime = await start({ logger: { debug() {}, info() {}, warn() {}, error } }, { heldBytes: 1 << 16 });
  await add(runtime, 'held');
  await lockHead('held');
  const many = await runtime.ref(Counter, 'held').addMany(100);
  await add(runtime, 'free');
  for (let i = 0; i < 10; i++) await runtime.ref(Counter, 'held').addMany(100);
  const later = await addSoon(runtime, 'free');
  await until(
    () => codes,
    (seen) => seen.some((message) => message.includes('heldBytes')),
    60_000,
  );
  await blocker.query('commit');
  await many.reached('stored');
  await later.reached('stored');
  await runtime.reached('stored');
  expect([await versions('held'), await versions('free')]).toEqual([upTo(1101), [1, 2]]);
});

test.each([false, true])(
  'a database that goes back to a state in which an aggregate was held: %s',
  long,
  async (wasHeld) => {
    const runtime = await start();
    await add(runtime, 'held');
    await add(runtime, 'free');
    const copying = await clients.connect(connectionString);
    const early = wasHeld ? undefined : await copyDatabase(copying, 'trunkline');
    await lockHead('held');
    await addSoon(runtime, 'held');
    await add(runtime, 'free');
    await isHeld('held');
    const copy = early ?? (await copyDatabase(copying, 'trunkline'));
    await addSoon(runtime, 'held');
    await add(runtime, 'free');
    await blocker.query('commit');
    if (wasHeld) await runtime.reached('stored');
    await copy.putBack();
    await add(runtime, 'free');
    await addSoon(runtime, 'held');
    await runtime.reached('stored');
    expect([await versions('held'), await versions('free')]).toEqual([upTo(4), upTo(4)]);
    expect(await held()).toEqual([]);
    expect(runtime.status()).toMatchObject({ state: 'open', quarantined: 0 });
  },
);

test('take-overs of others wait for nothing that is held, neither here nor by another log', long, async () => {
  const other = await start();
  for (const id of ['contested', 'locked', 'third']) await add(other, id);
  const runtime = await start({}, { loadTimeoutMs: 60_000 });
  await add(runtime, 'held');
  await add(runtime, 'contested');
  // Each goes by what it has in memory, is told that this is not the store's, and loads it.
  const insists = (on: Runtime) =>
    until(
      () =>
        add(on, 'contested').then(
          () => true,
          () => false,
        ),
      (isDone) => isDone,
      60_000,
    );
  await insists(other);
  expect((await errorOf(add(runtime, 'contested'))).code).toBe('Quarantined');
  await lockHead('held');
  await addSoon(runtime, 'held');
  await add(runtime, 'free');
  await isHeld('held');
  await insists(runtime);
  const another = await clients.connect(connectionString);
  await another.query("begin; select from trunkline.aggregates where aggregate_id = 'locked' for update");
  const locked = add(runtime, 'locked');
  await add(runtime, 'third');
  await another.query('rollback');
  await Promise.all([locked, blocker.query('rollback')]);
  await runtime.reached('stored');
  expect([await versions('held'), await versions('locked'), await versions('third')]).toEqual([
    [1, 2],
    [1, 2],
    [1, 2],
  ]);
});
