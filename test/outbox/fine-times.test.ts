// Times finer than a log's milliseconds, as now() gives them: what saves rounds them down, and rows that have one all the same (from an
// earlier release, or by the owner's hand) are relayed once and noted once, as any other.
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { postgres } from '../../src/index.ts';
import { migratedDatabase } from '../postgres.ts';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { earlierSaverGrants } from '../store/postgres/saver.ts';

const times = [
  '2026-11-27 20:00:00.123456Z',
  '2026-11-27 20:00:00.9999Z',
  '1969-12-31 23:59:59.0006Z',
  '0044-03-15 Z BC',
];
const rounded = [
  '2026-11-27T20:00:00.123Z',
  '2026-11-27T20:00:00.999Z',
  '1969-12-31T23:59:59.000Z',
  '-000043-03-15T00:00:00.000Z',
];
let url: string;
let client: pg.Client;

beforeEach(async () => {
  url = await migratedDatabase();
  client = new pg.Client({ connectionString: url });
  await client.connect();
});
afterEach(() => client.end());

/** What handlers get, by aggregate, once the store has the places of all of them. */
async function handled(count: number): Promise<Record<string, string>> {
  const runtime = await startRuntime({
    dataDir: scratchFolder(),
    shards: 1,
    store: postgres({ connectionString: url }),
  });
  const seen: [string, string][] = [];
  runtime.subscribe({
    name: 'all',
    handle: (event) => void seen.push([event.aggregateId, event.occurredAt.toISOString()]),
  });
  await until(
    async () => (await client.query(`select from trunkline.domain_events where position is not null`)).rowCount,
    (rows) => rows === count || runtime.status().quarantined > 0,
  );
  await until(
    () => seen.length,
    (length) => length === count,
  );
  expect(runtime.status().quarantined).toBe(0);
  expect((await client.query(`select from trunkline.outbox`)).rowCount).toBe(0);
  const stored: [string, string][] = [];
  for (const { aggregateId, occurredAt } of await runtime.store.getByType('Made'))
    stored.push([aggregateId, occurredAt.toISOString()]);
  await runtime.close();
  expect(Object.fromEntries(stored)).toEqual(Object.fromEntries(seen));
  return Object.fromEntries(seen);
}

test.each([
  ['save_event', false],
  ['append_event', false],
  ['append_event', true],
])('%s and its like for several round them down; with the rights of before: %s', async (name, isEarlier) => {
  const role = `fine_${process.pid}`;
  if (isEarlier) await client.query(`create role ${role}; ${earlierSaverGrants(role)}; set role ${role}`);
  for (const [i, time] of times.entries()) {
    await client.query(
      `select trunkline.${name}(gen_random_uuid(), 'note', 'one ${i}', 'Made', 1, '${time}'::timestamptz, '{}', null, null)`,
    );
    await client.query(
      `select trunkline.${name}s(array[gen_random_uuid(), gen_random_uuid()], array['note', 'note'], array['a ${i}', 'b ${i}'],
         array['Made', 'Made'], array[1, 1], array['${time}', '${times[0]}']::timestamptz[], array['{}', '{}']::jsonb[], null, null)`,
    );
  }
  if (isEarlier) await client.query(`reset role; drop owned by ${role}; drop role ${role}`);
  const { rowCount } = await client.query(
    `select from trunkline.domain_events where occurred_at <> date_trunc('milliseconds', occurred_at)`,
  );
  expect(rowCount).toBe(0);
  const expected = rounded.flatMap((time, i) => [
    [`one ${i}`, time],
    [`a ${i}`, time],
    [`b ${i}`, rounded[0]],
  ]);
  expect(await handled(3 * times.length)).toEqual(Object.fromEntries(expected));
});

test('rows that have them are found again where they are noted', async () => {
  for (const [i, time] of times.entries()) {
    await client.query(
      `insert into trunkline.domain_events
         (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data)
       values ('${randomUUID()}', 'note', 'row ${i}', 1, 'Made', 1, '${time}', '{}');
       insert into trunkline.aggregates
         (aggregate_type, aggregate_id, version, previous_version, first_occurred_at, last_occurred_at)
       values ('note', 'row ${i}', 1, 0, '${time}', '${time}');
       insert into trunkline.outbox (sequence, id, occurred_at)
       select sequence, id, occurred_at from trunkline.domain_events where aggregate_id = 'row ${i}'`,
    );
  }
  expect(await handled(times.length)).toEqual(Object.fromEntries(rounded.map((time, i) => [`row ${i}`, time])));
});
