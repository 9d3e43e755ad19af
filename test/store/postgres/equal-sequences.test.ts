// Rows that share a number, as a restored table or numbers that began again bring them: a page that ends between two of them leaves
// none out, neither of an archive, whose month is dropped for it, nor of the history, nor of a tail.
import pg from 'pg';
import { expect, onTestFinished, test, vi } from 'vitest';
import { readArchive } from '../../../src/adapters/postgres/partitions/archive-file.ts';
import { archiveMonth } from '../../../src/adapters/postgres/partitions/month-archive.ts';
import { openEventStore, postgres, tailEvents } from '../../../src/index.ts';
import { administer, migratedDatabase } from '../../postgres.ts';
import { scratchFolder } from '../../runtime/scratch.ts';

const rowsPerPage = 100_000; // of an archive

test('a page that ends between two rows of one number leaves neither out', { timeout: 120_000 }, async () => {
  const connection = await migratedDatabase();
  const client = new pg.Client({ connectionString: connection });
  await client.connect();
  onTestFinished(() => client.end());
  const insert = (at: string, sequences: string): Promise<unknown> =>
    client.query(
      `insert into trunkline.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data, sequence)
       select gen_random_uuid(), 'stock', 'a', row_number() over (), 'Sold', 1, $1, '{}', s from ${sequences} s`,
      [at],
    );
  await client.query(`select trunkline.make_partition('2024-05-01T00:00:00Z')`);
  await insert('2024-04-10T00:00:00Z', 'unnest(array[-1, 0, 0, 0, 3, 3, 4])');
  const store = await openEventStore(postgres({ connectionString: connection }));
  onTestFinished(() => store.close());
  for (let pageSize = 1; pageSize <= 8; pageSize++) {
    const ids: string[] = [];
    for await (const { id } of store.query({ pageSize })) ids.push(id);
    expect([pageSize, ids.length, new Set(ids).size]).toEqual([pageSize, 7, 7]);
    expect([pageSize, await tailed(connection, pageSize, 7)]).toEqual([pageSize, ids]);
  }
  await insert(
    '2024-05-10T00:00:00Z',
    `unnest(array(select least(i, ${rowsPerPage}) from generate_series(1, ${rowsPerPage} + 2) i))`,
  );
  const { file, events } = await archiveMonth(client, 'trunkline', '2024-05', scratchFolder());
  const read = new Set<string>();
  for await (const { id } of readArchive(file)) read.add(id);
  expect([events, read.size]).toEqual([rowsPerPage + 2, rowsPerPage + 2]);
});

test('rows of one number stay together where a page is cut between them by its bytes', {
  timeout: 120_000,
}, async () => {
  const connection = await migratedDatabase();
  const count = 20;
  for (let twin = 14; twin <= 17; twin++) {
    await administer(connection, 'truncate trunkline.domain_events');
    await administer(
      connection,
      `insert into trunkline.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data, sequence)
       select md5(i::text)::uuid, 'stock', 'a', i, 'Sold', 1, now(), jsonb_build_object('text', repeat('x', 1000000)),
         case when i > ${twin} then i - 1 else i end from generate_series(1, ${count}) i`,
    );
    const store = await openEventStore(postgres({ connectionString: connection }));
    const ids = new Set<string>();
    for await (const { id } of store.query()) ids.add(id);
    await store.close();
    expect([twin, ids.size]).toEqual([twin, count]);
  }
});

test('where no rows share a number, the server sorts none for a page; from the second on, it makes the next one meanwhile', async () => {
  const connection = await migratedDatabase();
  await administer(
    connection,
    `insert into trunkline.domain_events (id, aggregate_type, aggregate_id, version, event_type, schema_version, occurred_at, data)
     select gen_random_uuid(), 'stock', 'a', i, 'Sold', 1, now(), '{}' from generate_series(1, 10) i`,
  );
  const pool = new pg.Pool({ connectionString: connection });
  onTestFinished(() => pool.end());
  const pages: string[] = [];
  pool.on('connect', (client) => {
    const { query } = client;
    client.query = ((...asked: [{ text?: string }]) => {
      const page = asked[0].text?.match(/copy \((select .*)\) to stdout/s)?.[1];
      if (page !== undefined) pages.push(page);
      return (query as (...asked: unknown[]) => unknown).apply(client, asked);
    }) as never;
  });
  const store = await openEventStore(postgres({ pool }));
  onTestFinished(() => store.close());
  const asked: number[] = [];
  for await (const _ of store.query({ pageSize: 4 })) asked.push(pages.length);
  expect(asked).toEqual([1, 1, 1, 1, 3, 3, 3, 3, 3, 3]);
  for await (const { version } of store.query({ pageSize: 4 })) if (version === 5) break;
  await vi.waitUntil(() => pool.idleCount === pool.totalCount); // what was read ahead in vain has given its connection back
  expect(pages).toHaveLength(6);
  const settings = 'set enable_sort = off; set enable_seqscan = off; set enable_bitmapscan = off';
  for (const page of pages) {
    const plan = await administer(connection, `${settings}; explain (costs off) ${page}`);
    expect(plan.map((row) => row['QUERY PLAN']).join('\n')).not.toMatch(/Sort(?! Key)/);
  }
});

/** The ids of a tail's first events, without a break and again with one behind each: both must be the same. */
async function tailed(connection: string, pageSize: number, count: number): Promise<string[]> {
  const ids: string[] = [];
  for await (const { event } of tailEvents({ connection, pageSize })) if (ids.push(event.id) === count) break;
  const resumed: string[] = [];
  for (let from: string | undefined; resumed.length < count; ) {
    for await (const { event, token } of tailEvents({ connection, pageSize, from })) {
      resumed.push(event.id);
      from = token;
      break;
    }
  }
  expect(resumed).toEqual(ids);
  return ids;
}
