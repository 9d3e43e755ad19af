// Another transaction has locked the head of an aggregate and stays open: the flush waits for it, says who holds it, and loses and
// doubles nothing, whatever becomes of the transaction. Loads of other aggregates go on.
import pg from 'pg';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { PostgresAggregateReader } from '../../../src/adapters/postgres/read/aggregate-reader.ts';
import { postgres, type Runtime } from '../../../src/index.ts';
import { administer, migratedDatabase } from '../../postgres.ts';
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
    store: postgres({ connectionString, ...store }),
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
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

const lockHead = (id: string) =>
  blocker.query(`begin; select from trunkline.aggregates where aggregate_id = ${pg.escapeLiteral(id)} for update`);
/** A head that is there once the transaction is committed. */
const makeHead = (id: string, type = 'counter') =>
  blocker.query(`begin; insert into trunkline.aggregates (aggregate_type, aggregate_id, version, previous_version,
    first_occurred_at, last_occurred_at) values ('${type}', ${pg.escapeLiteral(id)}, 1, 0, now(), now())`);

/** A logger, and what it was told to say as an error. */
function listening(): { logger: object; said: string[] } {
  const said: string[] = [];
  const error = ({ err }: { err?: Error }): void => void (err && said.push(err.message));
  return { logger: { debug() {}, info() {}, warn() {}, error }, said };
}

test.each(['commit', 'rollback'])(
  'a locked head holds the flush, which says who locks it, until %s',
  long,
  async (end) => {
    const { logger, said } = listening();
    const runtime = await start({ logger });
    await add(runtime, 'locked');
    await lockHead('locked');
    const first = await addSoon(runtime, 'locked');
    const others = await Promise.all(upTo(20).map((n) => addSoon(runtime, `free ${n}`)));
    const {
      rows: [holder],
    } = await blocker.query('select pg_backend_pid() as pid, current_user as role');
    await until(
      () => said,
      (all) =>
        all.some((text) =>
          text.includes(`pid ${holder.pid} (role ${holder.role}, application 'an application', open for `),
        ),
      60_000,
    );
    expect([await versions('locked'), runtime.status().stored < first.position]).toEqual([[1], true]);
    await blocker.query(end);
    for (const receipt of [first, ...others]) await receipt.reached('stored');
    await add(runtime, 'locked');
    await runtime.reached('stored');
    expect([await versions('locked'), await versions('free 1')]).toEqual([upTo(3), [1]]);
    const { written, stored, quarantined } = runtime.status();
    expect({ stored, quarantined }).toEqual({ stored: written, quarantined: 0 });
  },
);

test('a service that closes meanwhile, and one that finds its checkpoint locked too, lose nothing', long, async () => {
  const dataDir = scratchFolder();
  const first = await start({ dataDir });
  await add(first, 'locked');
  await lockHead('locked');
  await addSoon(first, 'locked');
  await addSoon(first, 'free');
  await first.close();
  expect([await versions('locked'), await versions('free')]).toEqual([[1], []]);
  await blocker.query('select from trunkline.flush_checkpoints for update');
  const { logger, said } = listening();
  const second = await start({ dataDir, logger });
  const third = await addSoon(second, 'locked');
  await until(
    () => said,
    (all) => all.some((text) => text.includes("'an application'")),
    60_000,
  );
  await blocker.query('rollback');
  await third.reached('stored');
  await second.reached('stored');
  expect([await versions('locked'), await versions('free')]).toEqual([upTo(3), [1]]);
  expect(second.status().quarantined).toBe(0);
});

test(
  'a head that another makes meanwhile puts what comes too late into quarantine, and nothing else',
  long,
  async () => {
    const { logger, said } = listening();
    const runtime = await start({ logger });
    await makeHead('late');
    const late = await addSoon(runtime, 'late');
    const free = await addSoon(runtime, 'free');
    await until(
      () => said,
      (all) => all.some((text) => text.includes("'an application'")),
      60_000,
    );
    await blocker.query('commit');
    expect(await errorOf(late.reached('stored'))).toMatchObject({ code: 'Quarantined', details: { version: 1 } });
    await free.reached('stored');
    const sql = 'select aggregate_id, code from trunkline.quarantined_events';
    expect(await administer(connectionString, sql)).toEqual([{ aggregate_id: 'late', code: 'Fenced' }]);
    await runtime.reached('stored');
    expect(runtime.status().quarantined).toBe(1);
  },
);

test('a load that waits for a lock of others lets other loads pass', long, async () => {
  const other = await start();
  for (const id of ['locked', 'third']) await add(other, id);
  const runtime = await start({}, { loadTimeoutMs: 60_000 });
  await lockHead('locked');
  const locked = add(runtime, 'locked');
  await add(runtime, 'third');
  expect(await versions('locked')).toEqual([1]);
  await blocker.query('rollback');
  await locked;
  expect([await versions('locked'), await versions('third')]).toEqual([
    [1, 2],
    [1, 2],
  ]);
});

test('many loads that wait for locks of others leave the connection to loads that wait for none', long, async () => {
  const other = await start();
  const names = (what: string, count: number): string[] => upTo(count).map((n) => `${what} ${n}`);
  const [locked, free] = [names('locked', 25), names('free', 10)];
  await Promise.all([...locked, ...free].map((id) => addSoon(other, id)));
  await other.close();
  await blocker.query("begin; select from trunkline.aggregates where aggregate_id like 'locked%' for update");
  const { settings } = postgres({ connectionString, loadTimeoutMs: 20_000 });
  const reader = new PostgresAggregateReader(settings, 'another');
  const load = (id: string) => reader.load('counter', id, '', 0, 1);
  let ended = 0;
  const waiting = locked.map(async (id) => {
    const loaded = await load(id).catch((error: unknown) => error);
    ended++;
    return loaded;
  });
  for (const id of free) expect(await load(id)).toMatchObject({ version: 1 });
  expect(ended, 'loads that have given up meanwhile').toBe(0);
  await blocker.query('rollback');
  for (const loaded of await Promise.all(waiting)) expect(loaded).toMatchObject({ version: 1 });
  await reader.close();
});

test(
  'loads of heads that another session locks again and again get their turn in the queue for them',
  long,
  async () => {
    const other = await start();
    const again = upTo(5).map((n) => `again ${n}`);
    await Promise.all(['stuck', ...again].map((id) => addSoon(other, id)));
    await other.close();
    await lockHead('stuck');
    const former = await clients.connect(connectionString, 'a former owner');
    const lockAll = "begin; select from trunkline.aggregates where aggregate_id like 'again%' for update";
    await former.query(lockAll);
    const { settings } = postgres({ connectionString, loadTimeoutMs: 60_000 });
    const reader = new PostgresAggregateReader(settings, 'another');
    const load = (id: string) => reader.load('counter', id, '', 0, 1).catch((error: unknown) => error);
    const stuck = load('stuck');
    let ended = 0;
    const loads = again.map(async (id) => {
      const loaded = await load(id);
      ended++;
      return loaded;
    });
    // It frees them to who has stood in the queue for a while, and to nobody else.
    const queued = `select from pg_locks where pid <> pg_backend_pid() and waitstart < clock_timestamp() - interval '50 ms'
    and pg_backend_pid() = any(pg_blocking_pids(pid))`;
    while (ended < again.length) {
      const { rowCount } = await former.query(queued);
      if (rowCount! > 0) await former.query(`commit; ${lockAll}`);
    }
    for (const loaded of await Promise.all(loads)) expect(loaded).toMatchObject({ version: 1 });
    await former.query('rollback');
    await blocker.query('rollback');
    expect(await stuck).toMatchObject({ version: 1 });
    await reader.close();
  },
);
