// What cannot be read by this release: a typed error that names the event, for what needs that event; everything else goes on.
import { expect, test } from 'vitest';
import { createRuntime, type StoredEvent } from '../../src/index.ts';
import { all, errorOf, scratchFolder, startRuntime } from '../runtime/scratch.ts';
import { Order as Broken } from './broken-release.ts';
import { Order as First } from './release-1.ts';
import { Order as Second } from './release-2.ts';

test('an upcaster that throws stops its aggregate and its event, and nothing else; the release that mends it goes on', async () => {
  const dataDir = scratchFolder();
  const before = await startRuntime({ dataDir, aggregates: [First], shards: 1 });
  await before.ref(First, 'good').create('5');
  await before.ref(First, 'bad').create('five');
  await before.ref(First, 'later').create('7');
  await before.close();

  const broken = await createRuntime({ logger: false, dataDir, aggregates: [Broken], shards: 1 });
  const where = { aggregateId: 'bad', version: 1, eventType: 'OrderCreated', schemaVersion: 1 };
  const failed = { code: 'UpcastFailed', details: where };
  expect(await errorOf(broken.ref(Broken, 'bad').add('x'))).toMatchObject(failed);
  expect(await errorOf(broken.store.stateAt(Broken, 'bad', { version: 1 }))).toMatchObject(failed);
  expect((await broken.ref(Broken, 'good').add('x')).value).toBe(5);

  // Read by hand: the event is there, its payload says why it is not.
  const events = await all(broken.events({ type: 'OrderCreated' }));
  expect(events.map(({ aggregateId }) => aggregateId)).toEqual(['good', 'bad', 'later']);
  expect(() => events[1]!.data).toThrow(expect.objectContaining({ code: 'UpcastFailed' }));
  expect(events[2]!.data).toEqual({ total: 7 });

  // Handled: a dead letter, as it is stored.
  const handled: unknown[] = [];
  const handler = broken.subscribe({
    name: 'totals',
    events: ['OrderCreated'],
    retry: { attempts: 2, minDelayMs: 1 },
    handle: (event: StoredEvent) => void handled.push((event.data as { total: number }).total),
  });
  await handler.caughtUpTo(events[2]!.position);
  expect(handled.sort()).toEqual([5, 7]);
  const [letter] = await broken.deadLetters.list();
  expect(letter).toMatchObject({ handler: 'totals', error: { code: 'UpcastFailed' } });
  expect(letter!.event).toMatchObject({ aggregateId: 'bad', type: 'OrderCreated' });
  await broken.close();

  // The letter is read by the release that takes it up.
  const mended = await startRuntime({ dataDir, aggregates: [Second], shards: 1 });
  const seen: unknown[] = [];
  mended.subscribe({
    name: 'totals',
    events: ['OrderCreated'],
    handle: (event: StoredEvent) => void seen.push(event.data),
  });
  expect((await mended.deadLetters.list())[0]!.event).toMatchObject({ schemaVersion: 3, data: { amount: 'five' } });
  await mended.deadLetters.requeue({ handler: 'totals' });
  await expect.poll(() => seen).toEqual([{ orderId: 'bad', amount: 'five', currency: 'USD' }]);
  expect(await mended.state(Second, 'bad')).toMatchObject({ state: { amount: 'five' } });
});

test('a split that throws: iteration stops at its position and goes on behind it; a handler gets a dead letter', async () => {
  const dataDir = scratchFolder();
  const before = await startRuntime({ dataDir, aggregates: [First], shards: 1 });
  await before.ref(First, 'a').create('1');
  const { position } = await before
    .ref(First, 'a')
    .reach(undefined as never as string, '555')
    .catch(() => before.ref(First, 'a').reach(7 as never, '5'));
  await before.ref(First, 'b').create('2');
  await before.close();
  const broken = await startRuntime({ dataDir, aggregates: [Broken], shards: 1 });
  const error = await errorOf(all(broken.events()));
  expect(error).toMatchObject({ code: 'UpcastFailed', details: { eventType: 'ContactGiven', position } });
  expect((await all(broken.events({ from: position + 1 }))).map(({ aggregateId }) => aggregateId)).toEqual(['b']);
  const handled: string[] = [];
  const handler = broken.subscribe({
    name: 'every',
    retry: { attempts: 1 },
    handle: (event) => void handled.push(event.aggregateId),
  });
  await handler.caughtUpTo(position + 1);
  expect(handled).toEqual(['a', 'b']);
  expect(await broken.deadLetters.list()).toMatchObject([
    { event: { type: 'ContactGiven', position, data: { street: 7 } } },
  ]);
});

test('an older release beside newer events: that aggregate waits for the newer one, the others go on', async () => {
  const dataDir = scratchFolder();
  const newer = await startRuntime({ dataDir, aggregates: [Second], shards: 1 });
  await newer.ref(Second, 'new').create('1', 'EUR');
  await newer.close();
  const older = await startRuntime({ dataDir, aggregates: [First], shards: 1 });
  expect(await errorOf(older.ref(First, 'new').add('x'))).toMatchObject({
    code: 'UnsupportedEventVersion',
    details: { aggregateId: 'new', version: 1, eventType: 'OrderCreated', schemaVersion: 3, known: [1, 1] },
  });
  await older.ref(First, 'old').create('2');
  const [event] = await older.store.getByAggregate(First, 'new');
  expect(() => event!.data).toThrow(expect.objectContaining({ code: 'UnsupportedEventVersion' }));
  await older.close();
  const again = await startRuntime({ dataDir, aggregates: [Second], shards: 1 });
  expect(await again.state(Second, 'new')).toMatchObject({ state: { amount: '1', currency: 'EUR' } });
  expect(await again.state(Second, 'old')).toMatchObject({ state: { amount: '2', currency: 'USD' } });
});
