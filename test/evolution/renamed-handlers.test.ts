// A subscription under a new name goes on where the old one was: checkpoint, letters, and keys of effects.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRuntime, type Delivery, postgres, type Runtime, type StoredEvent } from '../../src/index.ts';
import { migratedDatabase } from '../postgres.ts';
import { errorOf, scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { Basket } from './basket-before.ts';
import { Cart } from './cart.ts';

type Names = { name: string; renamedFrom?: string[] };
const seen: { name: string; sku: string; key: string; type: string }[] = [];
let fails = true;

/** `twice` fails once it has had its effect. */
const taking = (runtime: Runtime, names: Names) =>
  runtime.subscribe({
    ...names,
    aggregates: ['basket'],
    retry: { attempts: 1 },
    handle: async (event: StoredEvent, { effectKey }: Delivery) => {
      const { sku } = event.data as { sku: string };
      seen.push({ name: names.name, sku, key: effectKey, type: event.aggregateType });
      await runtime.once(effectKey, (tx) => tx.put('sent', `${sku}-${seen.length}`, true));
      if (fails && sku === 'twice') throw new Error('not now');
    },
  });

describe.each(['lmdb', 'postgres'])('kept in %s', (place) => {
  let dataDir: string;
  let options: { logger: false; dataDir: string; shards: number };

  beforeAll(async () => {
    seen.length = 0;
    fails = true;
    dataDir = mkdtempSync(join(tmpdir(), 'trunkline-renamed-'));
    const store = place === 'lmdb' ? {} : { store: postgres({ connectionString: await migratedDatabase() }) };
    options = { logger: false, dataDir, shards: 1, ...store };
    const before = await createRuntime({ aggregates: [Basket], ...options });
    const handler = taking(before, { name: 'first' });
    await before.ref(Basket, 'b1').add('once');
    await before.ref(Basket, 'b1').add('twice');
    await handler.caughtUpTo(await before.ref(Basket, 'b1').add('behind'));
    await before.close();
  }, 120_000);
  afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

  test('the next release goes on there; what failed is found by each name, and has its effect once', async () => {
    await using runtime = await createRuntime({ aggregates: [Cart], ...options });
    const handler = taking(runtime, { name: 'third', renamedFrom: ['first', 'second'] });
    await handler.caughtUpTo(await runtime.ref(Cart, 'b2').add('new'));
    expect(seen.map(({ name, sku }) => [name, sku])).toEqual([
      ['first', 'once'],
      ['first', 'twice'],
      ['third', 'new'],
    ]);
    expect(handler.name).toBe('third');
    expect(runtime.status().subscriptions).toMatchObject([{ name: 'third', deadLetters: 2 }]);
    const { deadLetters, subscriptions } = runtime;
    expect(subscriptions.named('first').name).toBe('third');
    fails = false;
    for (const name of ['first', 'third']) {
      const letters = await deadLetters.list({ handler: name });
      expect(letters.map(({ reason }) => reason)).toEqual(['failed', 'behind']);
      const [id] = letters.map((letter) => letter.id.slice(letter.id.indexOf('/')));
      expect(await deadLetters.show(`${name}${id}`)).toMatchObject({ handler: 'first' });
    }
    await deadLetters.requeue({ handler: 'third' });
    await until(
      () => seen,
      ({ length }) => length === 5,
    );
    await until(
      () => deadLetters.list(),
      ({ length }) => length === 0,
    );
    const twice = seen.filter(({ sku }) => sku === 'twice');
    expect(twice.map(({ name, type }) => [name, type])).toEqual([
      ['first', 'basket'],
      ['third', 'cart'],
    ]);
    expect(new Set(twice.map(({ key }) => key)).size).toBe(1);
    const effects = await runtime.effects.range('sent');
    expect(effects.map(({ key }) => key.split('-')[0]).sort()).toEqual(['behind', 'new', 'once', 'twice']);
    await handler.close();
    expect(await subscriptions.forget('first', { dryRun: true })).toMatchObject({ checkpoints: ['first'] });
  });

  test('its old name is taken while it runs', async () => {
    await using runtime = await createRuntime({ aggregates: [Cart], ...options });
    const handler = taking(runtime, { name: 'third', renamedFrom: ['first'] });
    expect(() => taking(runtime, { name: 'first' })).toThrow(expect.objectContaining({ code: 'SubscriptionExists' }));
    expect(() => taking(runtime, { name: 'other', renamedFrom: ['first'] })).toThrow(
      expect.objectContaining({ code: 'SubscriptionExists' }),
    );
    expect(await errorOf(runtime.subscriptions.forget('first'))).toMatchObject({ code: 'HandlerNeeded' });
    const before = seen.length;
    await handler.caughtUpTo(runtime.status().written);
    expect(seen.length).toBe(before); // all of it was handled in the run before
  });

  test('a checkpoint under both names is refused, until one of them is forgotten', async () => {
    await using runtime = await createRuntime({ aggregates: [Cart], ...options });
    const mistaken = taking(runtime, { name: 'fourth' });
    await mistaken.caughtUpTo(await runtime.ref(Cart, 'b3').add('mistaken'));
    await mistaken.close();
    const names = { name: 'fourth', renamedFrom: ['first', 'third'] };
    const refused = taking(runtime, names);
    expect(await errorOf(refused.caughtUpTo(1))).toMatchObject({
      code: 'InvalidOptions',
      details: { option: 'renamedFrom', reason: expect.stringMatching(/'fourth' has a checkpoint.*'first'/) },
    });
    await refused.close().catch(() => {});
    await runtime.subscriptions.forget('fourth');
    const before = seen.length;
    await using again = taking(runtime, names);
    await again.caughtUpTo(runtime.status().written);
    expect(seen.slice(before).map(({ sku }) => sku)).toEqual(['mistaken']);
    await again.reset(runtime.status().written); // from which place it is known by its oldest name
    await again.close();
    expect((await runtime.subscriptions.forget('first', { dryRun: true })).checkpoints).toEqual(['first']);
  });
});

describe('names that do not fit what is kept', () => {
  let dataDir: string;
  const warned: object[] = [];
  const none = (): void => {};
  const logger = { debug: none, info: none, error: none, warn: (one: object) => void warned.push(one) };
  const open = (): Promise<Runtime> => createRuntime({ logger, dataDir, aggregates: [Cart], shards: 1 });

  beforeAll(async () => {
    fails = false;
    dataDir = mkdtempSync(join(tmpdir(), 'trunkline-renamed-'));
    for (const names of [{ name: 'a' }, { name: 'b', renamedFrom: ['a'] }]) {
      await using runtime = await open();
      const handler = taking(runtime, names);
      await handler.caughtUpTo(await runtime.ref(Cart, names.name).add('shoe'));
    }
  });
  afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

  test.each([
    [{ name: 'b' }, /'b' is kept as 'a'/],
    [{ name: 'c', renamedFrom: ['b', 'a'] }, /'a' has a checkpoint of its own.*'b'/],
    [{ name: 'a', renamedFrom: ['b'] }, /'a' has a checkpoint of its own.*'b'/],
  ])('%j is refused, and handles nothing', async (names, reason) => {
    await using runtime = await open();
    const before = seen.length;
    const handler = taking(runtime, names);
    expect(await errorOf(handler.caughtUpTo(runtime.status().written))).toMatchObject({
      code: 'InvalidOptions',
      details: { option: 'renamedFrom', reason: expect.stringMatching(reason) },
    });
    await handler.close().catch(none);
    expect(seen.length).toBe(before);
  });

  test('a list that knows nothing of what is kept is said', async () => {
    await using runtime = await open();
    warned.length = 0;
    await using handler = taking(runtime, { name: 'd', renamedFrom: ['aa'] });
    await handler.caughtUpTo(runtime.status().written);
    expect(warned).toEqual([{ handler: 'd', names: ['d', 'aa'] }]);
  });

  test('it may come back to a name that it had; letters are found by each of them', async () => {
    await using runtime = await open();
    await using handler = taking(runtime, { name: 'a', renamedFrom: ['a', 'b'] });
    const before = seen.length;
    fails = true;
    await handler.caughtUpTo(await runtime.ref(Cart, 'z').add('twice'));
    expect(seen.length).toBe(before + 1);
    for (const name of ['a', 'b']) expect(await runtime.deadLetters.list({ handler: name })).toHaveLength(1);
  });

  test('once it is forgotten, its names are free', async () => {
    await using runtime = await open();
    await runtime.deadLetters.discard({ handler: 'a' });
    await runtime.subscriptions.forget('a');
    await using handler = taking(runtime, { name: 'b' });
    await handler.caughtUpTo(runtime.status().written);
    expect(handler.name).toBe('b');
  });
});

test('it has skipped nothing, by the filter that is kept under its oldest name', async () => {
  const dataDir = scratchFolder();
  const warned: { types?: unknown }[] = [];
  const none = (): void => {};
  const logger = { debug: none, info: none, error: none, warn: (one: object) => void warned.push(one) };
  const wanted = [
    { name: 'first', events: ['ItemAdded' as const] },
    { name: 'second', renamedFrom: ['first'], events: ['ItemAdded' as const] },
    { name: 'third', renamedFrom: ['first', 'second'] },
    { name: 'fourth', renamedFrom: ['first', 'second', 'third'] },
  ];
  for (const one of wanted) {
    const runtime = await createRuntime({ logger, dataDir, aggregates: [Cart], shards: 1 });
    const handler = runtime.subscribe({ ...one, handle: none });
    await handler.caughtUpTo(await runtime.ref(Cart, 'b').add('shoe'));
    await runtime.close();
  }
  expect(warned).toMatchObject([{ handler: 'third', types: '*' }]);
});

test.each([
  [[], 'a list'],
  ['old', 'a list'],
  [['old', 'old'], 'twice'],
  [[''], 'empty'],
  [['projection:x'], 'projection'],
])('renamedFrom: %j is refused', async (renamedFrom, reason) => {
  await using runtime = await startRuntime({ aggregates: [Cart], shards: 1 });
  expect(() => taking(runtime, { name: 'name', renamedFrom: renamedFrom as string[] })).toThrow(
    expect.objectContaining({ code: 'InvalidOptions', message: expect.stringContaining(reason) }),
  );
});
