import { beforeEach, expect, test } from 'vitest';
import { AggregateRoot, type NewEvent, newId, type StoredEvent, TrunklineError } from '../../src/index.ts';
import { Counter } from './aggregates.ts';
import { errorOf, scratchFolder, sharedRuntime, startRuntime, until } from './scratch.ts';

const shared = sharedRuntime();
let turn = 0;
beforeEach(() => void turn++);

/** An aggregate of this test's own. */
const own = (name: string): string => `${name}-${turn}`;

class Stock extends AggregateRoot {
  price = '0';

  constructor(id: string) {
    super('stock', id);
  }

  reprice(price: string): void {
    this.raise('StockPriceUpdated', { oldPrice: this.price, newPrice: price }, { source: 'test' });
  }

  protected override apply(event: { type: string; data: any }): void {
    if (event.type === 'StockPriceUpdated') this.price = event.data.newPrice;
  }
}

test('an entity collects, publishes, and is rebuilt', async () => {
  const runtime = await startRuntime();
  const stock = new Stock('AAPL');
  stock.reprice('1.10');
  stock.reprice('1.20');
  expect(stock).toMatchObject({ version: 2, committedVersion: 0, price: '1.20' });
  expect(stock.uncommittedEvents.map(({ version }) => version)).toEqual([1, 2]);
  expect(JSON.parse(JSON.stringify(stock.uncommittedEvents[0]))).toMatchObject({
    type: 'StockPriceUpdated',
    data: { newPrice: '1.10' },
  });
  const heard: string[] = [];
  runtime.bus.on('*', (event) => heard.push(event.type));
  const receipt = await runtime.publisher.publish(...stock.uncommittedEvents);
  stock.markEventsAsCommitted();
  expect(receipt.events.map(({ version }) => version)).toEqual([1, 2]);
  expect(heard).toEqual(['StockPriceUpdated', 'StockPriceUpdated']);
  expect(stock).toMatchObject({ version: 2, committedVersion: 2, uncommittedEvents: [] });
  const stored = await runtime.store.getByAggregate('stock', 'AAPL');
  expect(new Stock('AAPL').rebuild(stored)).toMatchObject({ price: '1.20', version: 2 });
  expect(stored[0]!.metadata).toEqual({ source: 'test' });
});

test('save checks the expected version', async () => {
  const runtime = await shared();
  const data = { oldPrice: '0', newPrice: '1' };
  const one = { aggregateType: 'stock', aggregateId: own('X'), type: 'StockPriceUpdated', data };
  await runtime.store.save([one, one], { expectedVersion: 0 });
  const conflict = await errorOf(runtime.store.save([one], { expectedVersion: 1 }));
  expect(conflict).toMatchObject({ code: 'ConcurrencyConflict', details: { expectedVersion: 1, actualVersion: 2 } });
  await runtime.store.save([one], { expectedVersion: 2 });
  expect((await runtime.store.head('stock', own('X')))!.version).toBe(3);
  expect(await runtime.store.getFromVersion('stock', own('X'), 3)).toHaveLength(1);
});

test('of saves at one expected version that are made at once, one is saved', async () => {
  const runtime = await shared();
  const one = { aggregateType: 'stock', aggregateId: own('X'), type: 'StockSplit', data: { ratio: 2 } };
  for (const expectedVersion of [0, 2]) {
    const saves = ['a', 'b', 'c'].map(() => runtime.store.save([one, one], { expectedVersion }));
    const results = await Promise.allSettled(saves);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
    for (const result of results.slice(1)) {
      const actualVersion = expectedVersion + 2;
      const conflict = { code: 'ConcurrencyConflict', details: { expectedVersion, actualVersion } };
      expect((result as PromiseRejectedResult).reason).toMatchObject(conflict);
    }
  }
  expect((await runtime.store.head('stock', own('X')))!.version).toBe(4);
});

test('what can never be written takes no version, wherever it waits; what is changed meanwhile is written as it was', async () => {
  const runtime = await startRuntime({ flush: { ringBytes: 65_536 } });
  const event = (id: string, bytes: number): NewEvent => ({
    aggregateType: 'stock',
    aggregateId: id,
    type: 'StockSplit',
    data: { pad: 'x'.repeat(bytes) },
  });
  const waiting = Array.from({ length: 12 }, () => event('before', 10_000));
  const before = waiting.map((one) => runtime.publisher.publish(one));
  const tooLarge = runtime.publisher.publish(event('X', 40_000));
  const changed = event('X', 10);
  const behind = runtime.publisher.publish(changed);
  Object.assign(changed, { aggregateId: 'another', type: '' });
  expect((await errorOf(tooLarge)).code).toBe('CommandTooLarge');
  await Promise.all(before);
  expect((await behind).events).toMatchObject([{ aggregateId: 'X', version: 1, type: 'StockSplit' }]);
  expect((await runtime.store.head('stock', 'before'))!.version).toBe(12);
});

test('two writers that both read version 1 do not both win', async () => {
  const runtime = await shared();
  const [a, b] = [new Stock(own('X')), new Stock(own('X'))];
  a.reprice('1');
  b.reprice('2');
  const results = await Promise.allSettled([
    runtime.publisher.publish(...a.pullEvents()),
    runtime.publisher.publish(...b.pullEvents()),
  ]);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  expect((results[1] as PromiseRejectedResult).reason.code).toBe('ConcurrencyConflict');
});

test('an event that comes twice is there twice, unless its version says which one it is', async () => {
  const runtime = await shared();
  const event = {
    ...{ id: runtime.newId(), aggregateType: 'stock', aggregateId: own('X') },
    ...{ type: 'StockSplit', data: { ratio: 2 } },
  };
  for (let i = 0; i < 2; i++) await runtime.publisher.publish(event);
  const third = { ...event, version: 3 };
  await runtime.publisher.publish(third);
  for (const again of [
    [third],
    [
      { ...third, version: 4 },
      { ...third, version: 4 },
    ],
  ]) {
    expect((await errorOf(runtime.publisher.publishBatch(again))).code).toBe('ConcurrencyConflict');
    expect((await errorOf(runtime.store.save(again))).code).toBe('ConcurrencyConflict');
  }
  const stored = await runtime.store.getByAggregate('stock', own('X'));
  expect(stored.map(({ id, version }) => [id, version])).toEqual([1, 2, 3].map((version) => [event.id, version]));
});

test('versions go on after a restart, also from what only the log has', async () => {
  const dataDir = scratchFolder();
  const before = await startRuntime({ dataDir });
  const event = { aggregateType: 'stock', aggregateId: 'X', type: 'StockSplit', data: { ratio: 2 } };
  before.publisher.publishAsync(event, event);
  await before.publisher.publishBatch([event]);
  await before.close();
  const after = await startRuntime({ dataDir });
  expect((await after.publisher.publish(event)).events[0]!.version).toBe(4);
});

test('an aggregate type goes through one door', async () => {
  const runtime = await shared();
  const event = { aggregateType: 'counter', aggregateId: own('a'), type: 'Added', data: { amount: 1 } };
  expect((await errorOf(runtime.publisher.publish(event))).code).toBe('AggregateTypeOwnedElsewhere');
  expect(() => runtime.publisher.publishAsync(event)).toThrow(
    expect.objectContaining({ code: 'AggregateTypeOwnedElsewhere' }),
  );
  expect(await runtime.store.getByAggregate(Counter, own('a'))).toEqual([]);
});

test('a unit of work publishes after its commit: handlers before, then the transaction, then handlers after', async () => {
  const runtime = await shared();
  const steps: string[] = [];
  runtime.bus.on('*', (event) => steps.push(`live ${event.aggregateId}`));
  const transaction = { commit: () => void steps.push('commit'), rollback: () => void steps.push('rollback') };
  await runtime.unitOfWork({ transaction }).run(async (work) => {
    const stock = work.register(new Stock(own('X')));
    work.before('StockPriceUpdated', (event) => {
      steps.push(`before ${event.version}`);
      if (event.version === 1) stock.reprice('2'); // a handler's own events are handled too
    });
    work.after('*', (event) => void steps.push(`after ${event.version}`));
    stock.reprice('1');
  });
  expect(steps.filter((step) => !step.startsWith('live'))).toEqual([
    'before 1',
    'before 2',
    'commit',
    'after 1',
    'after 2',
  ]);
  expect(await runtime.store.getByAggregate('stock', own('X'))).toHaveLength(2);
});

test('a rollback publishes nothing', async () => {
  const runtime = await startRuntime();
  const failed = runtime.unitOfWork().run((work) => {
    work.register(new Stock('X')).reprice('1');
    throw new Error('no');
  });
  expect((await errorOf(failed)).message).toBe('no');
  const refused = runtime.unitOfWork();
  refused.register(new Stock('Y')).reprice('1');
  refused.before('*', () => Promise.reject(new Error('handler says no')));
  expect((await errorOf(refused.commit())).message).toBe('handler says no');
  expect((await errorOf(refused.commit())).code).toBe('UnitOfWorkEnded');
  {
    await using work = runtime.unitOfWork();
    work.repository({ setEventCollector: (collect) => collect(new Stock('Z')) });
  }
  const all: StoredEvent[] = [];
  for await (const event of runtime.events()) all.push(event);
  expect(all).toEqual([]);
});

test('a unit of work commits once, and only what its handlers have seen', async () => {
  const runtime = await shared();
  const stock = new Stock(own('X'));
  const seen: number[] = [];
  const committing = Promise.withResolvers<void>();
  const transaction = {
    commit: async () => {
      committing.resolve();
      await new Promise((resolve) => setImmediate(resolve));
      stock.reprice('2'); // too late for this unit of work
    },
    rollback: () => {},
  };
  const work = runtime.unitOfWork({ transaction });
  work.register(stock);
  work.before('*', ({ version }) => void seen.push(version));
  stock.reprice('1');
  const committed = work.commit();
  await committing.promise;
  expect(await errorOf(work.commit())).toMatchObject({ code: 'UnitOfWorkEnded', details: { state: 'committing' } });
  expect((await errorOf(work.rollback())).code).toBe('UnitOfWorkEnded');
  expect((await committed).map(({ version }) => version)).toEqual([1]);
  expect(seen).toEqual([1]);
  expect(stock).toMatchObject({ version: 2, committedVersion: 1, uncommittedEvents: [{ version: 2 }] });
  await runtime.publisher.publish(...stock.pullEvents());
  expect(await runtime.store.getByAggregate('stock', own('X'))).toHaveLength(2);
});

test('an event dated in the future leaves the ids of all others in the present', async () => {
  const runtime = await shared();
  const stock = { aggregateType: 'stock', aggregateId: own('x'), type: 'Imported', data: {} };
  const year = (id: string): number => new Date(Number.parseInt(id.replace('-', '').slice(0, 12), 16)).getUTCFullYear();
  const { events } = await runtime.publisher.publishBatch([{ ...stock, occurredAt: new Date('2100-01-01') }, stock]);
  const ids = [...events.map(({ id }) => id), newId()];
  expect(ids.map(year)).toEqual(ids.map(() => new Date().getUTCFullYear()));
});

test('when the runtime fails, whoever publishes is told, and what comes out of the ring afterwards harms nobody', async () => {
  const runtime = await startRuntime();
  const published = Array.from({ length: 50 }, (_, i) =>
    runtime.publisher.publishBatch([{ aggregateType: 'stock', aggregateId: `s${i}`, type: 'Repriced', data: {} }]),
  );
  const outcomes = Promise.all(published.map(errorOf));
  // They are in the ring once all promises at hand have run; what comes out of it is heard in a later turn of the loop.
  await new Promise<void>((resolve) => process.nextTick(resolve));
  // As the runtime does when a thread of its own has died.
  const failing = runtime as unknown as { stages: { failure: { fail(error: TrunklineError): void } } };
  failing.stages.failure.fail(new TrunklineError('ThreadFailed', { thread: 'flush', cause: 'a test' }));
  expect((await outcomes).map(({ code }) => code)).toEqual(published.map(() => 'ThreadFailed'));
  await until(
    () => runtime.status().written,
    (written) => written === 50,
  );
  await runtime.close();
});
