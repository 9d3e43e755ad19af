// A stored event that no release can read is passed over on purpose, once its error has said which one it is.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createRuntime,
  defineAggregate,
  openEventStore,
  postgres,
  type StoredEvent,
  type TrunklineError,
} from '../../src/index.ts';
import { reducerFingerprint } from '../../src/shard/evolve.ts';
import { migratedDatabase } from '../postgres.ts';
import { all, errorOf, scratchFolder, until } from '../runtime/scratch.ts';
import { Order as Broken } from './broken-release.ts';
import { Order as First } from './release-1.ts';
import { Skipping } from './skipping-release.ts';

describe.each(['lmdb', 'postgres'])('in %s', (place) => {
  let position: number;
  let folder: string;
  let options: { logger: false; dataDir: string; shards: number; store?: any };

  beforeAll(async () => {
    const store = place === 'lmdb' ? {} : { store: postgres({ connectionString: await migratedDatabase() }) };
    folder = mkdtempSync(join(tmpdir(), 'trunkline-skipped-'));
    options = { logger: false, dataDir: join(folder, 'data'), shards: 1, ...store };
    await using before = await createRuntime({ ...options, aggregates: [First] });
    await before.ref(First, 'good').create('5');
    await before.ref(First, 'bad').add('shoe');
    position = (await before.ref(First, 'bad').create('five')).position;
    await before.ref(First, 'bad').with({ ack: 'stored' }).add('lace');
  }, 120_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('the error of a load names the place of the event', async () => {
    await using broken = await createRuntime({ ...options, aggregates: [Broken] });
    expect(await errorOf(broken.ref(Broken, 'bad').add('x'))).toMatchObject({
      code: 'UpcastFailed',
      details: { aggregateType: 'order', aggregateId: 'bad', version: 2, position, eventType: 'OrderCreated' },
    });
    const handler = broken.subscribe({
      name: 'h',
      events: ['OrderCreated'],
      retry: { attempts: 1 },
      handle: (one) => void one.data,
    });
    await handler.caughtUpTo(broken.status().written);
    expect(await broken.deadLetters.list()).toHaveLength(1);
  });

  test('a definition that skips it reads the rest, at every door', async () => {
    await using runtime = await createRuntime({ ...options, aggregates: [Skipping] });
    expect(await runtime.state(Skipping, 'bad')).toMatchObject({ version: 3, state: { total: 0, items: 2 } });
    const receipt = await runtime.ref(Skipping, 'bad').add('box');
    expect(receipt).toMatchObject({ value: 3, version: 4 });
    await runtime.reached('stored');
    const versions = (events: readonly StoredEvent[]): number[] => events.map(({ version }) => version);
    expect(versions(await runtime.store.getByAggregate(Skipping, 'bad'))).toEqual([1, 3, 4]);
    expect(versions(await all(runtime.events({ aggregate: Skipping, aggregateId: 'bad' })))).toEqual([1, 3, 4]);
    expect(await runtime.store.stateAt(Skipping, 'bad', { version: 2 })).toMatchObject({
      version: 2,
      state: { items: 1 },
    });
    const seen: StoredEvent[] = [];
    const handler = runtime.subscribe({ name: 'all', handle: (one) => void seen.push(one) });
    await handler.caughtUpTo(receipt);
    expect(versions(seen.filter(({ aggregateId }) => aggregateId === 'bad'))).toEqual([1, 3, 4]);
    if (place === 'postgres') {
      await using alone = await openEventStore(options.store, { aggregates: [Skipping] });
      expect(versions(await alone.getByAggregate('order', 'bad'))).toEqual([1, 3, 4]);
    }
  });

  test('its dead letter goes, handled again, without a call', async () => {
    await using runtime = await createRuntime({ ...options, aggregates: [Skipping] });
    const called: unknown[] = [];
    runtime.subscribe({ name: 'h', events: ['OrderCreated'], handle: (one) => void called.push(one) });
    await runtime.deadLetters.requeue({ handler: 'h' });
    await until(
      () => runtime.deadLetters.list(),
      ({ length }) => length === 0,
    );
    expect(called).toEqual([]);
  });
});

test('an event of a type that no definition names is told with its place', async () => {
  const dataDir = scratchFolder();
  const before = await createRuntime({ logger: false, dataDir, aggregates: [First], shards: 1 });
  const { position } = await before.ref(First, 'a').redeem('SPRING');
  await before.close();
  const { CouponUsed: _, ...events } = First.events;
  const { CouponUsed: __, ...evolve } = First.evolve as any;
  const Forgetful = { ...First, events, evolve } as any;
  await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Forgetful], shards: 1 });
  const error = await errorOf(runtime.store.stateAt(Forgetful, 'a', { version: 1 }));
  expect(error).toMatchObject({
    code: 'UnknownEventType',
    details: { stored: { aggregateId: 'a', version: 1, position } },
  });
  expect((error as TrunklineError).message).toContain(`order/a, event 1 at position ${position}`);
});

test('a snapshot that was made with the event is left aside', () => {
  expect(reducerFingerprint(Skipping)).not.toBe(reducerFingerprint({ ...Skipping, skipped: [] }));
});

test.each([
  ['a', 'a list'],
  [[null], 'of { id, version }'],
  [[{ id: 'a' }], 'of { id, version }'],
  [[{ id: '', version: 1 }], 'of { id, version }'],
  [[{ id: 'a', version: 0 }], 'of { id, version }'],
  [Array(10_001).fill({ id: 'a', version: 1 }), 'at most 10000'],
])('skipped is checked (%#)', (skipped, reason) => {
  const { name, ...spec } = First as any;
  expect(() => defineAggregate(name, { ...spec, skipped })).toThrow(
    expect.objectContaining({ code: 'InvalidDefinition', message: expect.stringContaining(reason) }),
  );
});
