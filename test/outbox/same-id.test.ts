// Events with one id: who saves chooses ids, and the server keeps events apart by id and time. Each is an event of its own, also
// where the log has the same millisecond of both: both are relayed, and the store has the place of each.
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { postgres, type Runtime, type StoredEvent } from '../../src/index.ts';
import { migratedDatabase } from '../postgres.ts';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { earlierSaverGrants } from '../store/postgres/saver.ts';
import { copyDatabase } from './database-copy.ts';

let url: string;
let client: pg.Client;
const schema = 'trunkline';
const time = '2026-11-27 20:00:00.123Z';
/** To the time of the other event of that id. */
const distances = ['1 hour', '1 millisecond'];

const started = (dataDir: string, more: object = {}): Promise<Runtime> =>
  startRuntime({ dataDir, store: postgres({ connectionString: url, ...more }), shards: 1 });

function heardBy(runtime: Runtime): string[] {
  const heard: string[] = [];
  runtime.bus.on('*', ({ aggregateId }: StoredEvent) => void heard.push(aggregateId));
  return heard;
}

const hears = async (heard: readonly string[], ...ids: string[]): Promise<void> => {
  await until(
    () => ids.every((id) => heard.includes(id)),
    (holds) => holds,
  );
};

/** `behind`: the event's time is so long behind `time`. */
const save = async (id: string, aggregateId: string, behind = '0 s'): Promise<void> => {
  await client.query(
    `select ${schema}.save_event($1, 'payment', $2, 'Paid', 1, timestamptz '${time}' + $3::interval, '{}', null, null)`,
    [id, aggregateId, behind],
  );
};

const positions = async (): Promise<Record<string, number>> => {
  const { rows } = await client.query(`select aggregate_id as id, position::float8 from ${schema}.domain_events`);
  return Object.fromEntries(rows.map(({ id, position }) => [id, position]));
};

/** Both are in the log, once, where the store says. */
async function expectBoth(runtime: Runtime): Promise<void> {
  await runtime.reached('stored');
  const inLog: [string, number][] = [];
  for await (const { aggregateId, position } of runtime.events()) inLog.push([aggregateId, position]);
  expect(inLog.map(([id]) => id).filter((id) => id !== 'early')).toEqual(['first', 'second']);
  await until(positions, ({ second }) => second !== null);
  expect(await positions()).toEqual(Object.fromEntries(inLog));
  expect(runtime.status().quarantined).toBe(0);
}

beforeEach(async () => {
  url = await migratedDatabase();
  client = new pg.Client({ connectionString: url });
  await client.connect();
  client.on('error', () => {}); // the database goes at the end of a test that fails
});
afterEach(() => client.end());

test.each(distances)('a role that writes rows of its own, %s behind, under a lower number', async (behind) => {
  const role = `saver_${process.pid}`;
  await client.query(`create role ${role} login password 'p'; ${earlierSaverGrants(role)}`);
  const own = new URL(url);
  [own.username, own.password] = [role, 'p'];
  const saver = new pg.Client({ connectionString: own.href });
  await saver.connect();
  const number = (await saver.query(`select nextval('${schema}.domain_events_sequence') as n`)).rows[0].n;
  await save(randomUUID(), 'second');
  const { id } = (await saver.query(`select id from ${schema}.domain_events`)).rows[0];
  const at = `timestamptz '${time}' + interval '${behind}'`;
  await saver.query(`begin;
    insert into ${schema}.aggregates (aggregate_type, aggregate_id, version, previous_version, first_occurred_at, last_occurred_at)
      values ('note', 'first', 1, 0, ${at}, ${at});
    insert into ${schema}.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data)
      values ('${id}', 'note', 'first', 1, 'Made', 1, ${at}, '{}');
    insert into ${schema}.outbox (sequence, id, occurred_at) values (${number}, '${id}', ${at}); commit`);
  await saver.end();
  await client.query(`drop owned by ${role}; drop role ${role}`);
  const runtime = await started(scratchFolder());
  await until(
    async () => (await client.query(`select from ${schema}.outbox`)).rowCount,
    (rows) => rows === 0,
  );
  await expectBoth(runtime);
});

test.each(distances)('one that this run has relayed, and the store has not noted yet: %s', async (behind) => {
  const runtime = await started(scratchFolder(), { flushDelayMs: 2000 });
  const heard = heardBy(runtime);
  const id = randomUUID();
  await save(id, 'first', behind);
  await hears(heard, 'first');
  await save(id, 'second');
  await hears(heard, 'second');
  await expectBoth(runtime);
});

test.each(distances)('one that an earlier run has left in the log: %s', async (behind) => {
  const dataDir = scratchFolder();
  let runtime = await started(dataDir);
  let heard = heardBy(runtime);
  const holder = new pg.Client({ connectionString: url });
  await holder.connect();
  await holder.query(`begin; select from ${schema}.flush_checkpoints for update`);
  const id = randomUUID();
  await save(id, 'first', behind);
  await hears(heard, 'first');
  await expect(runtime.close({ deadlineMs: 1 })).rejects.toMatchObject({ code: 'CloseTimedOut' });
  runtime = await started(dataDir);
  heard = heardBy(runtime);
  await save(id, 'second');
  await hears(heard, 'second');
  await holder.query('rollback');
  await holder.end();
  await expectBoth(runtime);
});

test.each(distances)('one that the log has, in a database that has come back from before: %s', async (behind) => {
  const runtime = await started(scratchFolder());
  const heard = heardBy(runtime);
  await save(randomUUID(), 'early');
  await hears(heard, 'early');
  await runtime.reached('stored');
  const id = randomUUID();
  const holder = new pg.Client({ connectionString: url });
  await holder.connect();
  await holder.query(`begin; select from ${schema}.outbox_relay for update`);
  await save(id, 'first', behind);
  await save(id, 'second');
  const copy = await copyDatabase(client, schema); // both wait in it, and the log gets the first alone
  await client.query(`delete from ${schema}.outbox where sequence = (select max(sequence) from ${schema}.outbox);
    delete from ${schema}.domain_events where aggregate_id = 'second'`);
  await holder.query('rollback');
  await holder.end();
  await hears(heard, 'first');
  await runtime.reached('stored');
  await copy.putBack();
  await hears(heard, 'second');
  await expectBoth(runtime);
});

test('of two in one flush the one that the database has lost is named', async () => {
  const runtime = await started(scratchFolder(), { flushDelayMs: 60_000 });
  const heard = heardBy(runtime);
  const id = randomUUID();
  await save(id, 'first', '1 hour');
  await save(id, 'second');
  await hears(heard, 'first', 'second');
  await client.query(`delete from ${schema}.domain_events where aggregate_id = 'first'`);
  await runtime.close();
  expect(await positions()).toEqual({ second: expect.any(Number) });
  const { rows } = await client.query(`select aggregate_id as id, code from ${schema}.quarantined_events`);
  expect(rows).toEqual([{ id: 'first', code: 'LostByStore' }]);
});
