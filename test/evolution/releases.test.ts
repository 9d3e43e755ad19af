// What one release has written, as a later one reads it, at every door.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRuntime, type Runtime, type StoredEvent } from '../../src/index.ts';
import { all, scratchFolder, until } from '../runtime/scratch.ts';
import { Order as OrderBefore } from './release-1.ts';
import { Order } from './release-2.ts';

const folder = scratchFolder();
let runtime: Runtime;

beforeAll(async () => {
  const before = await createRuntime({ logger: false, dataDir: folder, aggregates: [OrderBefore], shards: 1 });
  const order = before.ref(OrderBefore, 'o1');
  await order.create('12.50');
  await order.add('shoe');
  await order.reach('Main Street', '555');
  await order.redeem('SPRING');
  await order.add('lace');
  await before.close();
  runtime = await createRuntime({ logger: false, dataDir: folder, aggregates: [Order], shards: 1 });
});
afterAll(() => runtime?.close());

const created = ['OrderCreated', 3, { orderId: 'o1', amount: '12.50', currency: 'USD' }];
const read = [
  created,
  ['ItemAdded', 1, { sku: 'shoe' }],
  ['AddressGiven', 1, { street: 'Main Street' }],
  ['PhoneGiven', 1, { phone: '555' }],
  ['ItemAdded', 1, { sku: 'lace' }],
];
const shown = (events: readonly StoredEvent[]): unknown[] =>
  events.map(({ type, schemaVersion, data }) => [type, schemaVersion, data]);
const state = {
  amount: '12.50',
  currency: 'USD',
  items: ['shoe by ItemAdded@1', 'lace by ItemAdded@1'],
  schemaVersion: 3,
  address: 'Main Street by AddressGiven@1',
  phone: '555',
};

describe('what an earlier release has written', () => {
  test('is the state of today', async () => {
    expect(await runtime.state(Order, 'o1')).toMatchObject({ version: 5, state });
    expect(await runtime.store.stateAt(Order, 'o1', { version: 5 })).toMatchObject({ version: 5, state });
    expect((await runtime.ref(Order, 'o1').add('box')).value).toBe(6);
  });

  test('is read by its names and versions of today', async () => {
    expect(shown(await all(runtime.events({ to: 5 })))).toEqual(read);
    expect(shown(await runtime.store.getByAggregate(Order, 'o1')).slice(0, 5)).toEqual(read);
    expect(shown(await runtime.store.getByAggregate('order', 'o1')).slice(0, 5)).toEqual(read);
    expect(shown(await runtime.store.getFromVersion(Order, 'o1', 3, 1))).toEqual(read.slice(2, 4));
  });

  test('is found by any of its names, a part by its own', async () => {
    const items = [read[1], read[4], ['ItemAdded', 1, { sku: 'box' }]];
    expect(shown(await runtime.store.getByType('ItemAdded'))).toEqual(items);
    expect(shown(await runtime.store.getByType('LineAdded'))).toEqual(items);
    expect(shown(await all(runtime.events({ aggregate: Order, type: 'PhoneGiven' })))).toEqual([read[3]]);
    expect(shown(await all(runtime.store.query({ types: ['AddressGiven'] })))).toEqual([read[2]]);
    expect(await all(runtime.events({ type: 'CouponUsed' }))).toEqual([]);
  });

  test('is heard by any name of the event, and no longer after off()', async () => {
    const heard: string[] = [];
    const listener = ({ type }: StoredEvent): void => void heard.push(type);
    runtime.bus.on(Order, 'LineAdded' as 'ItemAdded', listener);
    await runtime.ref(Order, 'o3').create('1', 'EUR');
    await runtime.ref(Order, 'o3').add('box');
    await until(
      () => heard,
      ({ length }) => length === 1,
    );
    runtime.bus.off(Order, 'LineAdded', listener);
    expect(runtime.bus.isIdle).toBe(true);
    expect(heard).toEqual(['ItemAdded']);
  });

  test('comes to handlers and projections so', async () => {
    const seen: StoredEvent[] = [];
    const keys: string[] = [];
    const everything = runtime.subscribe({
      name: 'all',
      handle: (event, { effectKey }) => {
        seen.push(event);
        keys.push(effectKey);
      },
    });
    const phones: unknown[] = [];
    const byPhone = runtime.subscribe({
      name: 'phones',
      events: ['PhoneGiven'],
      handle: (event) => void phones.push(event.data),
    });
    const rows = runtime.project({
      name: 'orders',
      init: () => ({ seen: [] as string[] }),
      apply: (row, event) => ({ seen: [...row.seen, event.type] }),
    });
    const at = await runtime.ref(Order, 'o2').create('1', 'EUR');
    await rows.caughtUpTo(at);
    for (const one of [everything, byPhone]) await one.caughtUpTo(at);
    expect(shown(seen.filter(({ aggregateId }) => aggregateId === 'o1')).slice(0, 5)).toEqual(read);
    expect(phones).toEqual([{ phone: '555' }]);
    expect((await rows.get('o1'))!.seen.slice(0, 5)).toEqual(read.map(([type]) => type));
    expect(new Set(keys).size).toBe(keys.length);
    expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length);
  });
});

test('off() of what nothing listens to changes nothing, and throws nothing', () => {
  const { bus } = runtime;
  const none = (): void => {};
  for (const aggregate of [undefined, null, 'order', {}, Order] as any[]) bus.off(aggregate, 'NoSuchEvent', none);
  expect(bus.isIdle).toBe(true);
});
