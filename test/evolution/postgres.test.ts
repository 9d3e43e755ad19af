// The same over PostgreSQL: what an earlier release has stored there, loaded without this machine's memory, and read by programs alone.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { defineProjection, openEventStore, postgres, type StoredEvent } from '../../src/index.ts';
import { administer, migratedDatabase } from '../postgres.ts';
import { all, errorOf, scratchFolder, startRuntime } from '../runtime/scratch.ts';
import { Order as First } from './release-1.ts';
import { Order as Second } from './release-2.ts';

let connectionString: string;
let folder: string;
let dataDir: string;

beforeAll(async () => {
  connectionString = await migratedDatabase();
  folder = mkdtempSync(join(tmpdir(), 'trunkline-evolution-'));
  dataDir = join(folder, 'data'); // it outlives the single test
  const first = await startRuntime({ dataDir, aggregates: [First], store: postgres({ connectionString }) });
  const order = first.ref(First, 'o1');
  await order.create('12.50');
  await order.add('shoe');
  await order.reach('Main Street', '555');
  await order.redeem('SPRING');
  await order.with({ ack: 'stored' }).add('lace');
  await first.close();
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const read = [
  ['OrderCreated', 3, { orderId: 'o1', amount: '12.50', currency: 'USD' }],
  ['ItemAdded', 1, { sku: 'shoe' }],
  ['AddressGiven', 1, { street: 'Main Street' }],
  ['PhoneGiven', 1, { phone: '555' }],
  ['ItemAdded', 1, { sku: 'lace' }],
];
const shown = (events: readonly StoredEvent[]): unknown[] =>
  events.map(({ type, schemaVersion, data }) => [type, schemaVersion, data]);

test('another machine takes the aggregate up with the next release', { timeout: 60_000 }, async () => {
  const runtime = await startRuntime({
    dataDir: scratchFolder(),
    aggregates: [Second],
    store: postgres({ connectionString }),
  });
  expect(await runtime.state(Second, 'o1')).toMatchObject({
    version: 5,
    state: {
      amount: '12.50',
      address: 'Main Street by AddressGiven@1',
      phone: '555',
      items: ['shoe by ItemAdded@1', 'lace by ItemAdded@1'],
    },
  });
  expect(shown(await runtime.store.getByAggregate(Second, 'o1'))).toEqual(read);
  expect(shown(await runtime.store.getByType('LineAdded'))).toEqual([read[1], read[4]]);
  expect(shown(await all(runtime.store.query({ aggregate: Second, types: ['PhoneGiven'] })))).toEqual([read[3]]);
  expect(await runtime.store.stateAt(Second, 'o1', { version: 3 })).toMatchObject({ state: { phone: '555' } });
});

test('rows of a table are folded from the parts', { timeout: 60_000 }, async () => {
  await administer(connectionString, 'create table seen (id text primary key, names jsonb not null)');
  const runtime = await startRuntime({ dataDir, aggregates: [Second], store: postgres({ connectionString }) });
  const rows = runtime.project(
    defineProjection<{ names: string[] }>({
      name: 'seen',
      aggregates: [Second],
      events: ['ItemAdded', 'PhoneGiven'],
      into: { table: 'seen', keyColumn: 'id', batchEvents: 3 },
      init: () => ({ names: [] }),
      apply: (row, { type }) => ({ names: [...row.names, type] }),
    }),
  );
  await rows.caughtUpTo(runtime.status().written);
  expect(await rows.get('o1')).toEqual({ names: ['ItemAdded', 'PhoneGiven', 'ItemAdded'] });
});

test('a program that only reads sees what its definitions say, and without them what is stored', {
  timeout: 60_000,
}, async () => {
  const options = postgres({ connectionString });
  await using today = await openEventStore(options, { aggregates: [Second] });
  expect(shown(await all(today.query()))).toEqual(read);
  expect(shown(await today.getByType('ItemAdded'))).toEqual([read[1], read[4]]);
  await using stored = await openEventStore(options);
  const names = ['OrderCreated', 'LineAdded', 'ContactGiven', 'CouponUsed', 'LineAdded'];
  expect((await all(stored.query())).map(({ type }) => type)).toEqual(names);
  expect(shown(await stored.getByAggregate(Second, 'o1'))).toEqual(read); // a call that names the definition knows it
});

test('a release that cannot read an aggregate does not take it from the one that can', {
  timeout: 60_000,
}, async () => {
  const store = postgres({ connectionString });
  const newer = await startRuntime({ dataDir: scratchFolder(), aggregates: [Second], store });
  const older = await startRuntime({ dataDir: scratchFolder(), aggregates: [First], store });
  const order = newer.ref(Second, 'o2').with({ ack: 'stored' });
  await order.create('1', 'EUR');
  const refused = { code: 'UnsupportedEventVersion', details: { aggregateId: 'o2', version: 1, schemaVersion: 3 } };
  expect(await errorOf(older.ref(First, 'o2').add('hat'))).toMatchObject(refused);
  expect(await errorOf(older.state(First, 'o2'))).toMatchObject(refused);
  expect((await order.add('shoe')).version).toBe(2);
  expect(newer.status().quarantined).toBe(0);
});
