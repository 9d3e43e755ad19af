// Readers whose checkpoints are kept on this machine, as the months of the store see them.
import pg from 'pg';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { archiveMonth, dropMonth } from '../../src/adapters/postgres/partitions/month-archive.ts';
import { keepPartitions } from '../../src/adapters/postgres/schema/months.ts';
import { defineProjection, postgres, type Runtime } from '../../src/index.ts';
import { administer, migratedDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, startSmall as startRuntime, until } from '../runtime/scratch.ts';

const schema = 'trunkline';
let url: string;

beforeAll(async () => {
  url = await migratedDatabase();
});

const sums = (version = 1) =>
  defineProjection<{ sum: number }>({
    name: 'sums',
    aggregates: [Counter],
    events: ['Added'],
    version,
    into: 'lmdb',
    init: () => ({ sum: 0 }),
    apply: (row, event) => ({ sum: row.sum + (event.data as { amount: number }).amount }),
  });

const start = (dataDir: string): Promise<Runtime> =>
  startRuntime({ dataDir, store: postgres({ connectionString: url }) });

const readers = (): Promise<{ name: string; position: number }[]> =>
  administer(url, 'select name, position::float8 as position from trunkline.log_readers order by name');

test('a month that a projection on this machine has not read stays, until it has', async () => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  onTestFinished(() => client.end());
  const dataDir = scratchFolder();
  const runtime = await start(dataDir);
  const projection = runtime.project(sums());
  const first = await runtime.ref(Counter, 'a').add(1);
  await projection.caughtUpTo(first);
  await until(readers, (rows) => rows.length > 0); // told at once, not in its turn
  await projection.close();
  const last = await runtime.ref(Counter, 'a').add(2);
  await last.reached('stored');
  await keepPartitions(client, schema, 0);
  const { rows } = await client.query(
    `select to_char(max(occurred_at) at time zone 'UTC', 'YYYY-MM') as month from ${schema}.domain_events`,
  );
  const [{ month }] = rows;
  const folder = scratchFolder();
  await archiveMonth(client, schema, month, folder);
  const drop = (): Promise<void> => dropMonth(client, schema, month, folder, false);
  const needed = { code: 'PartitionNeeded', message: expect.stringContaining('projection:sums#1') };
  expect(await errorOf(drop())).toMatchObject(needed);
  await runtime.close();
  expect(await errorOf(drop())).toMatchObject(needed);

  // Not begun, it is still asked; and so is it once something else here has opened what readers keep.
  await administer(url, `delete from ${schema}.log_readers`);
  const second = await start(dataDir);
  await second.project(sums(2)).caughtUpTo(last);
  await until(readers, (now) => now.some(({ name }) => name === 'projection:sums#2'));
  await second.close();
  // What another version has replaced is asked no more.
  const [{ name, position }, ...others] = (await readers()) as [{ name: string; position: number }];
  expect([name, others]).toEqual(['projection:sums#2', []]);
  expect(position).toBeGreaterThanOrEqual(last.position);
  await drop();
});
