// An aggregate type under a new name: its history goes on, whatever name it is asked for by.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createRuntime,
  defineAggregate,
  event,
  type Runtime,
  type StoredEvent,
  type UndeliveredMessage,
} from '../../src/index.ts';
import { reducerFingerprint } from '../../src/shard/evolve.ts';
import { given } from '../../src/testing.ts';
import { all, scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { Basket as BasketAgain } from './basket-again.ts';
import { Basket, Till as TillBefore } from './basket-before.ts';
import { Cart, Till } from './cart.ts';
import { Cart as Mistaken } from './cart-mistaken.ts';

const none = (): void => {};
const folder = scratchFolder();
let runtime: Runtime;

beforeAll(async () => {
  const before = await createRuntime({ logger: false, dataDir: folder, aggregates: [Basket, TillBefore], shards: 2 });
  await before.ref(Basket, 'b1').with({ idempotencyKey: 'k' }).add('shoe');
  await before.ref(Basket, 'b1').add('lace');
  await before.ref(TillBefore, 't1').look('b1');
  await before.close();
  runtime = await createRuntime({ logger: false, dataDir: folder, aggregates: [Cart, Till], shards: 2 });
});
afterAll(() => runtime?.close());

const shown = (events: readonly StoredEvent[]): unknown[] =>
  events.map(({ aggregateType, aggregateId, version, data }) => [aggregateType, aggregateId, version, data]);
const first = ['cart', 'b1', 1, { sku: 'shoe' }];
const second = ['cart', 'b1', 2, { sku: 'lace' }];
const third = ['cart', 'b1', 3, { sku: 'by t1' }];

describe('a renamed aggregate', () => {
  test('has its state, and goes on', async () => {
    const state = { items: ['shoe of cart', 'lace of cart', 'by t1 of cart'] };
    await until(
      () => runtime.state(Cart, 'b1'),
      (cart) => cart?.version === 3,
    );
    expect(await runtime.state(Cart, 'b1')).toMatchObject({ version: 3, state });
    expect(await runtime.store.stateAt(Cart, 'b1', { version: 2 })).toMatchObject({
      state: { items: ['shoe of cart', 'lace of cart'] },
    });
    expect(shown((await runtime.ref(Cart, 'b2').add('hat')).events)).toEqual([['cart', 'b2', 1, { sku: 'hat' }]]);
  });

  test('remembers keys', async () => {
    const again = await runtime.ref(Cart, 'b1').with({ idempotencyKey: 'k' }).add('shoe');
    expect([again.value, shown(again.events)]).toEqual([1, [first]]);
  });

  test.each(['cart', 'basket', 'trolley', Cart])('is found by each of its names', async (name) => {
    const { store } = runtime;
    const type = name as 'cart';
    expect(shown(await store.getByAggregate(type, 'b1'))).toEqual([first, second, third]);
    expect(shown(await store.getFromVersion(type, 'b1', 2, 1))).toEqual([second]);
    expect(shown(await all(runtime.events({ aggregate: type, aggregateId: 'b1' })))).toEqual([first, second, third]);
    expect(shown(await all(store.query({ aggregate: type, aggregateId: 'b1', type: 'ItemAdded' })))).toHaveLength(3);
    expect(shown(await store.getByType('ItemAdded', { aggregate: type, limit: 1 }))).toEqual([first]);
    expect(await store.head(type, 'b1')).toMatchObject({ version: 3 });
    expect((await all(store.heads(type))).map(({ id }) => id)).toEqual(['b1', 'b2']);
    const seen: StoredEvent[] = [];
    const handler = runtime.subscribe({
      name: `of ${typeof type === 'string' ? type : 'definition'}`,
      aggregates: [type],
      handle: (one) => void seen.push(one),
    });
    await handler.caughtUpTo(await runtime.ref(Cart, 'b1').count());
    expect(shown(seen).slice(0, 3)).toEqual([first, second, third]);
  });

  test('is commanded by each of its names', async () => {
    for (const name of ['cart', 'basket', 'trolley']) {
      expect(await runtime.command(name, 'b3', 'count', [])).toMatchObject({ value: 0 });
    }
    await expect(runtime.command('trolly', 'b3', 'count', [])).rejects.toMatchObject({
      code: 'UnknownAggregateType',
      details: { known: ['cart', 'till'] },
    });
  });

  test('is heard under its name of today', async () => {
    const heard: StoredEvent[] = [];
    using _one = runtime.bus.on(Cart, 'ItemAdded', (one) => void heard.push(one));
    using _all = runtime.bus.on('*', (one) => void heard.push(one));
    await runtime.ref(Cart, 'b4').add('coat');
    await until(
      () => heard.length,
      (count) => count === 2,
    );
    expect(shown(heard)).toEqual(Array(2).fill(['cart', 'b4', 1, { sku: 'coat' }]));
  });

  test('is asked and sent to', async () => {
    const { value } = await runtime.ref(Till, 't2').look('b5');
    expect(value).toBe(0);
    await until(
      () => runtime.state(Cart, 'b5'),
      (cart) => cart?.version === 1,
    );
    await expect(runtime.ref(Cart, 'b5').askItself('b5')).rejects.toMatchObject({ code: 'AskItself' });
    await expect(runtime.ref(Cart, 'b5').askTill('t3')).rejects.toMatchObject({ code: 'AskCycle' });
  });

  test('a message to it that fails is found by each name', async () => {
    const told: UndeliveredMessage[] = [];
    const messageOptions = { retry: { attempts: 1 }, onUndelivered: (one: UndeliveredMessage) => void told.push(one) };
    const runtime = await startRuntime({ aggregates: [Cart, Till], shards: 1, messages: messageOptions });
    await runtime.ref(Till, 't4').sendBroken('b6');
    const { messages } = runtime.deadLetters;
    for (const aggregate of ['cart', 'basket', 'trolley', Cart]) {
      const letters = await until(
        () => messages.list({ aggregate }),
        ({ length }) => length > 0,
      );
      expect(letters).toMatchObject([{ target: { aggregateType: 'cart', aggregateId: 'b6' }, command: 'add' }]);
    }
    await until(
      () => told,
      ({ length }) => length === 1,
    );
    expect(told).toMatchObject([{ target: { aggregateType: 'cart', aggregateId: 'b6' } }]);
  });

  test('is named so by errors', async () => {
    await expect(runtime.ref(Cart, 'b1').add('x'.repeat(8 << 20))).rejects.toMatchObject({ code: 'CommandTooLarge' });
    const made = { aggregateId: 'x', type: 'ItemAdded', data: {} };
    for (const aggregateType of ['cart', 'basket', 'trolley']) {
      await expect(runtime.publisher.publish({ ...made, aggregateType })).rejects.toMatchObject({
        code: 'AggregateTypeOwnedElsewhere',
      });
    }
  });

  test('dead letters are found by each name, and are requeued', async () => {
    let fails = true;
    const handled: string[] = [];
    const handler = runtime.subscribe({
      name: 'fails',
      events: ['ItemAdded'],
      retry: { attempts: 1 },
      handle: (one) => {
        if (fails) throw new Error('not now');
        handled.push(one.aggregateType);
      },
    });
    await handler.caughtUpTo(await runtime.ref(Cart, 'b1').count());
    const { deadLetters } = runtime;
    const query = { handler: 'fails', aggregateId: 'b1' };
    for (const aggregate of ['cart', 'basket', Cart]) {
      const letters = await deadLetters.list({ ...query, aggregate });
      expect(letters.map(({ event: { aggregateType } }) => aggregateType)).toEqual(['cart', 'cart', 'cart']);
    }
    fails = false;
    await deadLetters.requeue({ ...query, aggregate: 'cart' });
    await until(
      () => handled.length,
      (count) => count === 3,
    );
    expect(handled).toEqual(['cart', 'cart', 'cart']);
  });
});

describe('names', () => {
  const define = (name: string, renamedFrom?: string[]) =>
    defineAggregate(name, {
      module: import.meta.url,
      state: () => ({}),
      events: { Done: event() },
      evolve: { Done: (state) => state },
      commands: {},
      renamedFrom,
    });

  test.each([
    [['a', 'a'], 'twice'],
    [[''], 'former aggregate type'],
    [['*'], 'former aggregate type'],
    ['a', 'must be a list'],
  ])('%j is refused', (renamedFrom, reason) => {
    expect(() => define('name', renamedFrom as string[])).toThrow(
      expect.objectContaining({ code: 'InvalidDefinition', message: expect.stringContaining(reason) }),
    );
  });

  test('two aggregates claim one', async () => {
    const pairs = [
      [define('a', ['b']), define('b')],
      [define('a', ['c']), define('b', ['c'])],
      [define('b'), define('a', ['b'])],
    ];
    for (const aggregates of pairs) {
      await expect(startRuntime({ dataDir: scratchFolder(), aggregates })).rejects.toMatchObject({
        code: 'InvalidOptions',
        details: { option: 'aggregates' },
      });
    }
  });
});

test('a subscription to it by its former name has skipped nothing', async () => {
  const dataDir = scratchFolder();
  const warned: unknown[] = [];
  const logger = { debug: none, info: none, error: none, warn: (details: unknown) => void warned.push(details) };
  for (const type of [Basket, Cart]) {
    const runtime = await createRuntime({ logger, dataDir, aggregates: [type], shards: 1 });
    const handler = runtime.subscribe({ name: 'h', aggregates: [type], handle: none });
    await handler.caughtUpTo(await runtime.ref(type as typeof Cart, 'b').add('shoe'));
    await runtime.close();
  }
  expect(warned).toEqual([]);
});

test('given() names it by its name of today', async () => {
  const outcome = await given(Cart, [{ type: 'ItemAdded', data: { sku: 'shoe' } }])
    .when.sendItself('hat')
    .outcome();
  expect(shown(outcome.events)).toEqual([['cart', 'given', 2, { sku: 'hat' }]]);
  expect(outcome.sent).toEqual([{ aggregateType: 'cart', id: 'other', command: 'add', input: ['hat'] }]);
  expect(outcome.state.items).toEqual(['shoe of cart', 'hat of cart']);
});

test('a snapshot of the type by another name is left aside, since reducers may look at it', () => {
  expect(reducerFingerprint(Cart)).not.toBe(reducerFingerprint({ ...Cart, renamedFrom: ['basket'] }));
});

test('a start warns of types that were served here and are no more', async () => {
  const dataDir = scratchFolder();
  const warned: unknown[] = [];
  const logger = { debug: none, info: none, error: none, warn: (details: unknown) => void warned.push(details) };
  for (const [aggregates, expected] of [
    [[Basket, TillBefore], []],
    [[Cart], [{ aggregateTypes: ['till'] }]],
    [[Mistaken, Till], [{ aggregateTypes: ['basket'] }]],
  ] as const) {
    warned.length = 0;
    const runtime = await createRuntime({ logger, dataDir, aggregates, shards: 1 });
    await runtime.close();
    expect(warned).toEqual(expected);
  }
});

describe('aggregates that are stored by another name of the type', () => {
  test('are refused at a start, which would not reach them', async () => {
    const dataDir = scratchFolder();
    const mistaken = await startRuntime({ dataDir, aggregates: [Mistaken], shards: 1 });
    await mistaken.ref(Mistaken, 'a').with({ ack: 'stored' }).add('shoe');
    await mistaken.close();
    const starting = startRuntime({ dataDir, aggregates: [Cart], shards: 1 });
    await expect(starting).rejects.toMatchObject({
      code: 'InvalidOptions',
      details: { option: 'aggregates.cart.renamedFrom', reason: expect.stringContaining("aggregates of 'cart'") },
    });
    const runtime = await startRuntime({ dataDir, aggregates: [Mistaken], shards: 1 });
    expect(await runtime.state(Mistaken, 'a')).toMatchObject({ version: 1 });
  });

  test('a definition that the shard finds otherwise is refused', async () => {
    const starting = startRuntime({ aggregates: [{ ...Cart, renamedFrom: [] }], shards: 1 });
    await expect(starting).rejects.toMatchObject({ code: 'ModuleMismatch', details: { aggregateType: 'cart' } });
  });

  test('a type may come back to a name that it had', async () => {
    const dataDir = scratchFolder();
    for (const [i, type] of [Basket as unknown as typeof Cart, Cart, BasketAgain].entries()) {
      const runtime = await startRuntime({ dataDir, aggregates: [type], shards: 1 });
      const { version, events } = await runtime.ref(type, 'a').add('shoe');
      expect(version).toBe(i + 1);
      expect(events.map(({ aggregateType }) => aggregateType)).toEqual([type.name]);
      await runtime.close();
    }
  });
});
