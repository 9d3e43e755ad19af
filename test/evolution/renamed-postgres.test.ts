// A renamed aggregate type over PostgreSQL: two releases that call it by different names share its history while both run.
import { beforeAll, expect, test } from 'vitest';
import { openEventStore, postgres } from '../../src/index.ts';
import { administer, migratedDatabase } from '../postgres.ts';
import { all, scratchFolder, startRuntime } from '../runtime/scratch.ts';
import { Basket } from './basket-before.ts';
import { Cart } from './cart.ts';

let connectionString: string;

beforeAll(async () => {
  connectionString = await migratedDatabase();
}, 120_000);

test('two releases go on with one aggregate in turn', { timeout: 60_000 }, async () => {
  const store = postgres({ connectionString });
  const older = await startRuntime({ dataDir: scratchFolder(), aggregates: [Basket], store });
  const newer = await startRuntime({ dataDir: scratchFolder(), aggregates: [Cart], store });
  const basket = older.ref(Basket, 'b1').with({ ack: 'stored' });
  const cart = newer.ref(Cart, 'b1').with({ ack: 'stored' });
  expect((await basket.add('shoe')).version).toBe(1);
  expect((await cart.add('lace')).version).toBe(2);
  expect((await older.state(Basket, 'b1'))?.version).toBe(1); // its actor: as it has known it
  expect((await newer.state(Cart, 'b1'))?.state.items).toEqual(['shoe of cart', 'lace of cart']);
  await expect(basket.add('hat')).rejects.toMatchObject({ code: 'Quarantined' }); // the other one has gone on
  expect((await basket.add('hat')).version).toBe(3);
  const stored = await administer(connectionString, 'select distinct aggregate_type from trunkline.domain_events');
  expect(stored).toEqual([{ aggregate_type: 'basket' }]);
});

test('roles may raise events of none of its names', async () => {
  for (const name of ['cart', 'basket', 'trolley']) {
    const raised = administer(connectionString, `select trunkline.raise_event('${name}', 'x', 'ItemAdded', '{}')`);
    await expect(raised).rejects.toMatchObject({ code: 'TKWRD' });
  }
});

test('a program alone reads it by each name, with the definition and without', async () => {
  const options = postgres({ connectionString });
  await using known = await openEventStore(options, { aggregates: [Cart] });
  await using unknown = await openEventStore(options);
  for (const name of ['cart', 'basket', 'trolley']) {
    expect((await known.getByAggregate(name, 'b1')).map(({ aggregateType }) => aggregateType)).toEqual(
      Array(3).fill('cart'),
    );
    expect(await all(unknown.query({ aggregate: name }))).toHaveLength(name === 'basket' ? 3 : 0);
  }
  expect(await all(unknown.query({ aggregate: Cart }))).toHaveLength(3);
  expect((await unknown.stateAt(Cart, 'b1', { version: 3 }))?.state.items).toEqual([
    'shoe of cart',
    'lace of cart',
    'hat of cart',
  ]);
});
