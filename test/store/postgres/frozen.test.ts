// Which connections a flusher ends that stand in its way: flushes that stand still, of its own schema, and no others.
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migrate } from '../../../src/adapters/postgres/schema/migrate.ts';
import { endFrozenFlushes } from '../../../src/adapters/postgres/session/frozen.ts';
import { freshDatabase } from '../../postgres.ts';
import { until } from '../../runtime/scratch.ts';
import { Clients } from './clients.ts';

let url: string;
let client: pg.Client;
const clients = new Clients();

const connected = (name: string): Promise<pg.Client> => clients.connect(url, name);

beforeAll(async () => {
  url = await freshDatabase();
  for (const schema of ['trunkline', 'another']) await migrate({ connection: url, schema });
  client = await connected('trunkline flush');
});
afterAll(() => clients.end());

test('flushes that stand still inside a transaction are ended; those at work, at rest, and others are not', async () => {
  const lock = (schema: string): string => `begin; select from ${schema}.aggregates`;
  const atWork = await connected('trunkline flush');
  await atWork.query(lock('trunkline'));
  // A statement at work for as long as the test takes: it is cancelled at the end.
  const working = atWork.query('select pg_sleep(3600)').catch((error: { code: string }) => error.code);
  const spared: Record<string, pg.Client> = {};
  for (const [what, name, sql] of [
    ['outside of a transaction', 'trunkline flush', 'select from trunkline.aggregates'],
    ['of another schema', 'trunkline flush', lock('another')],
    ['of an application', 'an application', lock('trunkline')],
  ] as const) {
    spared[what] = await connected(name);
    await spared[what].query(sql);
  }
  const still = await connected('trunkline flush');
  await still.query(lock('trunkline'));
  // It has begun after all the others: once it counts as standing still, each of them has had its time.
  expect(
    await until(
      () => endFrozenFlushes(client, 'trunkline'),
      (count) => count > 0,
    ),
  ).toBe(1);
  await expect(still.query('select 1')).rejects.toThrow();
  for (const [what, one] of Object.entries(spared)) expect((await one.query('select 1')).rowCount, what).toBe(1);
  const pid = (atWork as unknown as { processID: number }).processID;
  await client.query('select pg_cancel_backend($1)', [pid]);
  expect(await working).toBe('57014'); // by us, and until now by nobody
});
