// Pages are bounded by bytes, too: events of a megabyte come a few at a time, all of them, in their order.
import { beforeAll, expect, test } from 'vitest';
import { PostgresAggregateReader } from '../../../src/adapters/postgres/read/aggregate-reader.ts';
import { PostgresArchive } from '../../../src/adapters/postgres/read/archive.ts';
import { copyEvents } from '../../../src/adapters/postgres/rows/pages.ts';
import { openClient } from '../../../src/adapters/postgres/session/server-session.ts';
import { postgres } from '../../../src/index.ts';
import { tailEvents } from '../../../src/postgres.ts';
import { pageBytes } from '../../../src/store/page-bytes.ts';
import { administer, migratedDatabase } from '../../postgres.ts';
import { Counter } from '../../runtime/aggregates.ts';
import { startRuntime, until } from '../../runtime/scratch.ts';

const count = 40;
const large = 1_000_000;
let url: string;

beforeAll(async () => {
  url = await migratedDatabase();
  await administer(
    url,
    `insert into trunkline.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data)
     select gen_random_uuid(), 'plan', 'a', i, 'Made', 1, now(), jsonb_build_object('i', i, 'text', repeat('x', ${large}))
     from generate_series(1, ${count}) i;
     insert into trunkline.aggregates (aggregate_type, aggregate_id, version, previous_version, position,
       first_occurred_at, last_occurred_at)
     select 'plan', 'a', ${count}, 0, 0, min(occurred_at), max(occurred_at) from trunkline.domain_events`,
  );
});

const all = Array.from({ length: count }, (_, i) => i + 1);

test('a page of the server is cut at a whole event; one that is larger than a page comes alone', async () => {
  const use = { name: 'test', timeoutMs: 20_000 };
  const client = await openClient({ connectionString: url }, use);
  const page = await copyEvents(client, 'trunkline.domain_events order by sequence');
  expect(page.isCut).toBe(true);
  expect(page.count).toBe(Math.floor(page.frames.length / large));
  expect(page.frames.length).toBeLessThan(pageBytes + large);
  await expect(client.query('select')).rejects.toThrow();
  const other = await openClient({ connectionString: url }, use);
  const huge = `(select e.*, jsonb_build_object('text', repeat('x', ${2 * pageBytes})) as big from trunkline.domain_events e) e`;
  const columns = `(select id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, big as data,
    metadata, sequence as position, 'one' as log_id, sequence from ${huge} order by sequence limit 2) e`;
  expect(await copyEvents(other, columns)).toMatchObject({ isCut: true, count: 1 });
});

test('queries, the events of an aggregate, and the tail', async () => {
  const archive = new PostgresArchive(postgres({ connectionString: url }));
  const seen: number[] = [];
  for await (const { version } of archive.query()) seen.push(version);
  expect(seen).toEqual(all);
  expect((await archive.getByAggregate('plan', 'a')).map(({ version }) => version)).toEqual(all);
  await archive.close();
  const tailed: number[] = [];
  const errors: unknown[] = [];
  for await (const { event } of tailEvents({ connection: url, onError: (error) => errors.push(error) }))
    if (tailed.push(event.version) === count) break;
  expect(tailed).toEqual(all);
  expect(errors).toEqual([]);
});

test('an aggregate is loaded page by page', async () => {
  const reader = new PostgresAggregateReader(postgres({ connectionString: url }).settings as never, 'a-log');
  const pages: number[] = [];
  for (let after = 0; after < count; after += pages.at(-1)!) {
    const page = (await reader.load('plan', 'a', '', after, 0))!;
    expect(page).toMatchObject({ version: count });
    expect(page.frames.length).toBeLessThan(pageBytes + large);
    pages.push(page.eventCount);
  }
  expect(pages.reduce((a, b) => a + b)).toBe(count);
  expect(pages.length).toBeGreaterThan(2);
  await reader.close();
});

test('a subscription takes no more large events at a time than a few pages of them', async () => {
  const runtime = await startRuntime({ shards: 1 });
  const label = 'x'.repeat(large);
  for (const i of Array.from({ length: 70 }).keys()) await runtime.ref(Counter, `c${i}`).label(label);
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const subscription = runtime.subscribe({ name: 'slow', concurrency: 100, handle: () => held });
  const most = Math.ceil((4 * pageBytes) / large);
  await until(
    () => subscription.status().inFlight,
    (inFlight) => inFlight === most,
  );
  release();
  await until(
    () => subscription.status().handled,
    (handled) => handled === 70,
  );
});
