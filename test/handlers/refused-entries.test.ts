// What PostgreSQL refuses of what handlers keep holds up nothing else; and no event's time is among it, whatever its year.
import pg from 'pg';
import { beforeAll, expect, test } from 'vitest';
import { PostgresTables } from '../../src/adapters/postgres/handlers/tables.ts';
import { failure } from '../../src/adapters/postgres/session/failure.ts';
import { openClient } from '../../src/adapters/postgres/session/server-session.ts';
import { timeOf, timeText } from '../../src/adapters/postgres/session/time-text.ts';
import { checkpointTable } from '../../src/handler-state/checkpoint.ts';
import type { Change } from '../../src/handler-state/handler-state-store.ts';
import { postgres } from '../../src/index.ts';
import { EARLIEST_MS } from '../../src/wire/limits.ts';
import { administer, migratedDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { startSmall as startRuntime, until } from '../runtime/scratch.ts';

let url: string;

beforeAll(async () => {
  url = await migratedDatabase();
});

const latestMs = 8.64e15;
const times = ['+012345-01-02T03:04:05.678Z', '-000043-03-15T00:00:00.000Z'].map((text) => new Date(text));

test('checkpoints move on behind events of far years', async () => {
  const runtime = await startRuntime({ store: postgres({ connectionString: url }), shards: 1 });
  const subscription = runtime.subscribe({ name: 'far', handle() {} });
  const last = `select position::float8 as position, extract(epoch from last_processed_at)::float8 * 1000 as at
    from trunkline.event_handler_positions where handler_name = 'far'`;
  for (const occurredAt of [...times, new Date(EARLIEST_MS), new Date(latestMs)]) {
    const event = { aggregateType: 'plan', aggregateId: occurredAt.toISOString(), type: 'Made', data: {}, occurredAt };
    await runtime.store.save([event]);
    await until(
      () => administer(url, last),
      ([row]) => row?.at === occurredAt.getTime() && row.position >= runtime.status().written - 1,
    );
  }
  await subscription.caughtUpTo(await runtime.ref(Counter, 'a').add(1));
});

test('a time that the server has printed is the time that it was given', async () => {
  const client = await openClient({ connectionString: url }, { name: 'test', timeoutMs: 5000 });
  for (const ms of [
    0,
    1,
    -1,
    Date.UTC(2026, 1, 28),
    Date.UTC(9999, 11, 31),
    EARLIEST_MS,
    latestMs,
    ...times.map(Number),
  ]) {
    const { rows } = await client.query(
      `select $1::timestamptz::text as text, to_jsonb($1::timestamptz) #>> '{}' as json`,
      [timeText(ms)],
    );
    expect([timeOf(rows[0].text), timeOf(rows[0].json)]).toEqual([ms, ms]);
  }
  expect(timeOf('yesterday')).toBeNaN();
  await client.end();
});

test('a change that the server refuses is left out and named, all others of its commit are kept', async () => {
  const { settings } = postgres({ connectionString: url });
  const tables = new PostgresTables(settings, 'log-of-this-test', 1);
  const position = (key: string, low: number): Change => ({
    table: checkpointTable,
    key,
    json: JSON.stringify({ low, done: [], updatedAt: '2026-01-01T00:00:00Z' }),
  });
  const entry = (key: string, json: string): Change => ({ table: 'effects:seen', key, json });
  const changes = [
    entry('a', '1'),
    position('billing', 5),
    entry('b', 'not JSON'),
    position('audit', 2 ** 70), // no bigint
    entry('c', '3'),
    position('mail', 7),
  ];
  const refused: [string, string][] = [];
  await tables.commit(changes, ({ key }, error) => refused.push([key, (error as { code?: string }).code!]));
  expect(refused).toEqual([
    ['b', 'StoreRefused'],
    ['audit', 'StoreRefused'],
  ]);
  expect((await tables.range('effects:seen', {})).map(({ key, json }) => [key, json])).toEqual([
    ['a', '1'],
    ['c', '3'],
  ]);
  const kept = await tables.range(checkpointTable, {});
  expect(kept.map(({ key, json }) => [key, JSON.parse(json).low])).toEqual([
    ['billing', 5],
    ['mail', 7],
  ]);
  await tables.close();
});

test('an error of the server that no repetition changes is not called an outage', async () => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const codeOf = async (sql: string): Promise<string> => {
    const error = await client.query(sql).catch((thrown: unknown) => thrown);
    return failure(error, 'trunkline').code;
  };
  expect(await codeOf('select 1 / 0')).toBe('StoreRefused');
  expect(await codeOf(`select 3000000000::int`)).toBe('StoreRefused');
  expect(await codeOf(`do $$ begin raise exception 'a trigger of the user'; end $$`)).toBe('StoreRefused');
  for (const code of ['40P01', '53300', '55P03', '57014', '25P03', '08006', 'XX000']) {
    expect(await codeOf(`do $$ begin raise sqlstate '${code}'; end $$`)).toBe('StoreUnavailable');
  }
  await client.end();
});
