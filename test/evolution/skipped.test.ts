// A stored event that no release can read is passed over on purpose, once its error has said which one it is.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  createRuntime,
  defineAggregate,
  defineEntityEvents,
  event,
  openEventStore,
  postgres,
  type StoredEvent,
  type TrunklineError,
} from '../../src/index.ts';
import { decodeEvent } from '../../src/model/event.ts';
import { Evolution } from '../../src/model/evolution.ts';
import { eventsToday } from '../../src/model/evolved-event.ts';
import { evolveFrame, reducerFingerprint } from '../../src/shard/evolve.ts';
import { StagedGroup } from '../../src/shared/ring/group.ts';
import { FrameKind, FrameReader } from '../../src/wire/frame.ts';
import { writeIdText } from '../../src/wire/ids.ts';
import { migratedDatabase } from '../postgres.ts';
import { all, errorOf, scratchFolder, until } from '../runtime/scratch.ts';
import { Order as Broken } from './broken-release.ts';
import { Order as First } from './release-1.ts';
import { Skipping, skipping } from './skipping-release.ts';

const elsewhere = '0190a1b2-0000-7000-8000-000000000000';

/** In this thread and in those that are started from now on. */
function skippingRelease(eventId: string): ReturnType<typeof skipping> {
  vi.stubEnv('BROKEN_EVENT', eventId);
  return skipping(eventId);
}
afterEach(() => void vi.unstubAllEnvs());

describe.each(['lmdb', 'postgres'])('in %s', (place) => {
  let position: number;
  let eventId: string;
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
    eventId = (await before.store.getByAggregate(First, 'bad'))[1]!.id;
  }, 120_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('the error of a load names the place of the event', async () => {
    await using broken = await createRuntime({ ...options, aggregates: [Broken] });
    const error = await errorOf(broken.ref(Broken, 'bad').add('x'));
    const details = { aggregateType: 'order', aggregateId: 'bad', version: 2, eventId, position };
    expect(error).toMatchObject({ code: 'UpcastFailed', details: { ...details, eventType: 'OrderCreated' } });
    expect(error.message).toContain(`order/bad, event 2 (${eventId}) at position ${position}`);
    expect(error.message).toContain('`skipped`');
    const [, stored] = await broken.store.getByAggregate(Broken, 'bad');
    expect(() => stored!.data).toThrow(expect.objectContaining({ details: expect.objectContaining(details) }));
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
    const Skipping = skippingRelease(eventId);
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
    await using runtime = await createRuntime({ ...options, aggregates: [skippingRelease(eventId.toUpperCase())] });
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

test('an event that is raised in the place of a skipped one counts: after a restart, for a handler, for every reader', async () => {
  const Skipping = skippingRelease(elsewhere);
  const options = { logger: false as const, dataDir: scratchFolder(), aggregates: [Skipping], shards: 1 };
  {
    await using before = await createRuntime(options);
    await before.ref(Skipping, 'bad').add('shoe');
    await before.ref(Skipping, 'bad').with({ ack: 'stored' }).add('lace');
    expect(await before.state(Skipping, 'bad')).toMatchObject({ version: 2, state: { items: 2 } });
  }
  await using runtime = await createRuntime(options);
  const receipt = await runtime.ref(Skipping, 'bad').add('box');
  expect(receipt).toMatchObject({ value: 3, version: 3 });
  expect(await runtime.store.stateAt(Skipping, 'bad', { version: 2 })).toMatchObject({ state: { items: 2 } });
  const seen: number[] = [];
  const handler = runtime.subscribe({ name: 'all', handle: ({ version }) => void seen.push(version) });
  await handler.caughtUpTo(receipt);
  expect(seen).toEqual([1, 2, 3]);
  expect((await all(runtime.events({ aggregate: Skipping, aggregateId: 'bad' }))).length).toBe(3);
});

test('an event of an entity that is published in the place of a skipped one counts', async () => {
  const Stock = defineEntityEvents('stock', {
    events: { Counted: event<{ pieces: number }>() },
    skipped: [{ id: 'a', version: 1, eventId: elsewhere }],
  });
  await using runtime = await createRuntime({
    logger: false,
    dataDir: scratchFolder(),
    aggregates: [First],
    entities: [Stock],
    shards: 1,
  });
  const seen: number[] = [];
  const handler = runtime.subscribe({ name: 'all', handle: ({ version }) => void seen.push(version) });
  const counted = { aggregateType: 'stock', aggregateId: 'a', type: 'Counted', data: { pieces: 1 } };
  await runtime.publisher.publish(counted);
  await runtime.store.save([{ ...counted, id: elsewhere, version: 2 }]);
  await handler.caughtUpTo(runtime.status().written);
  expect(seen).toEqual([1, 2]);
  expect(await runtime.store.getByAggregate(Stock, 'a')).toHaveLength(2);
});

test('one whose payload is no JSON is skipped: its id is in the header', () => {
  const group = new StagedGroup(1 << 16);
  const at = (type: string): FrameReader => {
    const offset = group.frame(FrameKind.event, 1, 0, 2, 'order', 'bad', type, '', '{');
    writeIdText(group.frames.bytes, offset + 16, elsewhere);
    return new FrameReader(group.frames.bytes).at(offset);
  };
  const frame = at('OrderCreated');
  const state = { total: 1, items: 1 };
  expect(evolveFrame(Skipping, state, frame, 'bad')).toBe(state);
  expect(eventsToday([decodeEvent(frame, 9)], new Evolution([skipping(elsewhere)]))).toEqual([]);
  expect(() => evolveFrame(skipping(elsewhere.replace('1', '2')), state, frame, 'bad')).toThrow();
  expect(() => evolveFrame(First, state, at('Gone'), 'bad')).toThrow(
    expect.objectContaining({
      details: expect.objectContaining({ stored: { aggregateId: 'bad', version: 2, eventId: elsewhere, position: 0 } }),
    }),
  );
});

test('an event of a type that no definition names is told with its place', async () => {
  const dataDir = scratchFolder();
  const before = await createRuntime({ logger: false, dataDir, aggregates: [First], shards: 1 });
  const { position } = await before.ref(First, 'a').with({ ack: 'stored' }).redeem('SPRING');
  const [{ id: eventId }] = (await before.store.getByAggregate(First, 'a')) as [StoredEvent];
  await before.close();
  const { CouponUsed: _, ...events } = First.events;
  const { CouponUsed: __, ...evolve } = First.evolve as any;
  const Forgetful = { ...First, events, evolve } as any;
  await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Forgetful], shards: 1 });
  const error = await errorOf(runtime.store.stateAt(Forgetful, 'a', { version: 1 }));
  expect(error).toMatchObject({
    code: 'UnknownEventType',
    details: { stored: { aggregateId: 'a', version: 1, eventId, position } },
  });
  expect((error as TrunklineError).message).toContain(`order/a, event 1 (${eventId}) at position ${position}`);
});

test('a snapshot that was made with the event is left aside', () => {
  const fingerprints = [
    skipping(elsewhere),
    skipping(elsewhere.replace('1', '2')),
    { ...skipping(elsewhere), skipped: [] },
  ];
  expect(new Set(fingerprints.map(reducerFingerprint)).size).toBe(3);
});

test.each([
  ['a', 'a list'],
  [[null], 'of { id, version, eventId }'],
  [[{ id: 'a' }], 'of { id, version, eventId }'],
  [[{ id: 'a', version: 1 }], 'of { id, version, eventId }'],
  [[{ id: 'a', version: 1, eventId: 'x' }], 'of { id, version, eventId }'],
  [[{ id: '', version: 1, eventId: elsewhere }], 'of { id, version, eventId }'],
  [[{ id: 'a', version: 0, eventId: elsewhere }], 'of { id, version, eventId }'],
  [Array(10_001).fill({ id: 'a', version: 1, eventId: elsewhere }), 'at most 10000'],
])('skipped is checked (%#)', (skipped, reason) => {
  const { name, ...spec } = First as any;
  expect(() => defineAggregate(name, { ...spec, skipped })).toThrow(
    expect.objectContaining({ code: 'InvalidDefinition', message: expect.stringContaining(reason) }),
  );
});
