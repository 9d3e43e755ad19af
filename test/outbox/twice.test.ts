// What brings a row of the outbox back whose event a log has: a hand, a restore of the table, of the database, a lost claim. Each
// event comes into the log once, and none is left out.
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { postgres, type Runtime, type StoredEvent } from '../../src/index.ts';
import { elsewhere, migratedDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { copyDatabase } from './database-copy.ts';

let url: string;
const schema = elsewhere;
let client: pg.Client;

const started = (dataDir: string, more: object = {}): Promise<Runtime> =>
  startRuntime({ dataDir, store: postgres({ connectionString: url, schema }), shards: 1, ...more });

const raise = async (id: string): Promise<void> => {
  await client.query(`select ${schema}.raise_event('invoice', $1, 'Made', '{}')`, [id]);
};

/** What the log has, in its order: each event that it holds, as often as it does. */
async function inLog(runtime: Runtime): Promise<string[]> {
  const found: string[] = [];
  for await (const { aggregateId, version } of runtime.events()) found.push(`${aggregateId}@${version}`);
  return found;
}

function heardBy(runtime: Runtime): string[] {
  const heard: string[] = [];
  runtime.bus.on('*', ({ aggregateId, version }: StoredEvent) => void heard.push(`${aggregateId}@${version}`));
  return heard;
}

const rows = async (): Promise<any[]> => (await client.query(`select * from ${schema}.outbox order by sequence`)).rows;

const relayed = async (heard: readonly string[], count: number): Promise<void> => {
  await until(
    () => heard.length,
    (length) => length >= count,
  );
  await until(rows, (left) => left.length === 0);
};

/** As a hand would, or a restore of the table alone. */
const writeAgain = async (ids: readonly string[], sequence = 'sequence'): Promise<void> => {
  await client.query(
    `insert into ${schema}.outbox (sequence, id, occurred_at)
     select ${sequence}, id, occurred_at from ${schema}.domain_events where aggregate_id = any($1)`,
    [ids],
  );
};

beforeEach(async () => {
  url = await migratedDatabase(schema);
  client = new pg.Client({ connectionString: url });
  await client.connect();
});
afterEach(() => client.end());

test('rows that are written again for events that the log has bring none of them a second time, and go', async () => {
  const runtime = await started(scratchFolder());
  const heard = heardBy(runtime);
  for (const id of ['a', 'b', 'c']) await raise(id);
  await relayed(heard, 3);
  await writeAgain(['a', 'b']);
  await raise('d');
  await relayed(heard, 4);
  await writeAgain(['c'], 'sequence + 1000');
  await raise('e');
  await relayed(heard, 5);
  expect(heard).toEqual(['a@1', 'b@1', 'c@1', 'd@1', 'e@1']);
  expect(runtime.status().relay).toMatchObject({ relayed: 5, setAside: 0, lastError: undefined });
});

test('events that came through a log are not relayed, whoever writes rows for them', async () => {
  const runtime = await started(scratchFolder());
  const heard = heardBy(runtime);
  const id = runtime.newId();
  await runtime.ref(Counter, id).with({ ack: 'stored' }).add(1);
  await writeAgain([id]);
  await raise('a');
  await relayed(heard, 2);
  expect(heard).toEqual([`${id}@1`, 'a@1']);
});

test('two rows of one event, before the store has it from the log, bring it once', async () => {
  const store = postgres({ connectionString: url, schema, flushDelayMs: 60_000 });
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir, store, shards: 1 });
  const heard = heardBy(runtime);
  await client.query('begin');
  await raise('a');
  await writeAgain(['a'], 'sequence + 1000');
  await client.query('commit');
  await raise('b');
  await until(
    () => heard,
    (list) => list.includes('b@1'),
  );
  await writeAgain(['a'], 'sequence + 2000');
  await raise('c');
  await until(
    () => heard,
    (list) => list.includes('c@1'),
  );
  expect(heard).toEqual(['a@1', 'b@1', 'c@1']);
});

test('the table of the outbox alone comes back: what the log has is not relayed again, also where the store has not got it yet', async () => {
  const dataDir = scratchFolder();
  const store = postgres({ connectionString: url, schema, flushDelayMs: 60_000 });
  let runtime = await startRuntime({ dataDir, store, shards: 1 });
  let heard = heardBy(runtime);
  await raise('a');
  await until(
    () => heard.length,
    (length) => length === 1,
  );
  await client.query(`update ${schema}.outbox set log_id = null, batch = null`); // as before its claim
  await raise('b');
  await until(
    () => heard,
    (list) => list.includes('b@1'),
  );
  expect(heard).toEqual(['a@1', 'b@1']);
  await runtime.close();
  await writeAgain(['a', 'b']);
  runtime = await started(dataDir);
  heard = heardBy(runtime);
  await raise('c');
  await relayed(heard, 1);
  expect(heard).toEqual(['c@1']);
  expect(await inLog(runtime)).toEqual(['a@1', 'b@1', 'c@1']);
});

test('a run ends before the store has what it relayed: what is written again meanwhile is not relayed by the next', async () => {
  const dataDir = scratchFolder();
  let runtime = await started(dataDir);
  let heard = heardBy(runtime);
  const holder = new pg.Client({ connectionString: url });
  await holder.connect();
  await holder.query(`begin; select from ${schema}.flush_checkpoints for update`);
  await raise('a');
  await until(
    () => heard.length,
    (length) => length === 1,
  );
  await expect(runtime.close({ deadlineMs: 1 })).rejects.toMatchObject({ code: 'CloseTimedOut' });
  await client.query(`update ${schema}.outbox set log_id = null, batch = null`);
  await writeAgain(['a'], 'sequence + 1000');
  runtime = await started(dataDir);
  heard = heardBy(runtime);
  await raise('b');
  await until(
    () => heard,
    (list) => list.includes('b@1'),
  );
  await holder.query('rollback');
  await holder.end();
  await raise('c');
  await relayed(heard, 2);
  expect(await inLog(runtime)).toEqual(['a@1', 'b@1', 'c@1']);
});

const states = [
  'while no runtime runs',
  'while one runs that has relayed nothing yet',
  'while one runs that has relayed',
];
const cases = states.flatMap((when) => [0, 32].map((leap) => [when, leap] as const));

test.each(cases)(
  'a database comes back from an earlier state %s, numbers of batches %i ahead: what the log has is not relayed again',
  async (when, leap) => {
    const dataDir = scratchFolder();
    let runtime = await started(dataDir);
    let heard = heardBy(runtime);
    await raise('early');
    await relayed(heard, 1);
    const holder = new pg.Client({ connectionString: url });
    await holder.connect();
    await holder.query(`begin; select from ${schema}.outbox_relay for update`);
    for (const id of ['a', 'b']) await raise(id);
    const copy = await copyDatabase(client, schema); // a and b wait in it
    await holder.query('rollback');
    await holder.end();
    await relayed(heard, 3);
    await runtime.reached('stored');
    if (when !== 'while one runs that has relayed') {
      await runtime.close();
      if (when === 'while no runtime runs') await copy.putBack(leap);
      runtime = await started(dataDir);
      heard = heardBy(runtime);
      await until(
        () => runtime.status().relay?.state,
        (state) => state === 'relaying',
      );
    }
    if (when !== 'while no runtime runs') await copy.putBack(leap);
    for (const id of ['new', 'newer']) {
      await raise(id);
      await until(
        () => heard,
        (list) => list.includes(`${id}@1`),
      );
    }
    await until(rows, (left) => left.length === 0);
    expect(await inLog(runtime)).toEqual(['early@1', 'a@1', 'b@1', 'new@1', 'newer@1']);
  },
);
