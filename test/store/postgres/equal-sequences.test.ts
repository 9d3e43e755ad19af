// Rows that share a number, as a restored table or numbers that began again bring them: a page that ends between two of them leaves
// none out, neither of an archive, whose month is dropped for it, nor of the history, nor of a tail.
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { readArchive } from '../../../src/adapters/postgres/partitions/archive-file.ts';
import { archiveMonth } from '../../../src/adapters/postgres/partitions/month-archive.ts';
import { migrate, openEventStore, postgres, tailEvents } from '../../../src/index.ts';
import { freshDatabase } from '../../postgres.ts';
import { scratchFolder } from '../../runtime/scratch.ts';

const rowsPerPage = 100_000; // of an archive

test('a page that ends between two rows of one number leaves neither out', { timeout: 120_000 }, async () => {
  const connection = await freshDatabase();
  await migrate({ connection });
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
    const ids = new Set<string>();
    for await (const { id } of store.query({ pageSize })) ids.add(id);
    expect([pageSize, ids.size]).toEqual([pageSize, 7]);
    expect([pageSize, await tailed(connection, pageSize, 7)]).toEqual([pageSize, [...ids]]);
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
