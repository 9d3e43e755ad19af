// What a call is given counts as it is in the call: its owner may use the objects again at once, however long it waits.
import { describe, expect, test } from 'vitest';
import { AggregateRoot, type NewEvent } from '../../src/index.ts';
import { startOn, stores } from '../handlers/stores.ts';
import { Counter } from './aggregates.ts';
import { startRuntime, until } from './scratch.ts';

class Order extends AggregateRoot {
  place(): void {
    this.raise('Placed', { n: 0 });
  }
}

/** Whatever can be changed in it is: other values, of the same kind, in every field; no items in any list. */
function reuse(value: any): any {
  if (typeof value === 'number') return value + 1000;
  if (typeof value === 'string') return 'other';
  if (typeof value === 'boolean') return !value;
  if (value instanceof Date) value.setTime(0);
  else if (typeof value === 'object' && value !== null) {
    for (const key of Object.keys(value)) Reflect.set(value, key, reuse(value[key]));
    if (Array.isArray(value)) value.length = 0;
  }
  return value;
}

describe.each(stores)('%s store', (store) => {
  test('events are written as they were given, whatever publishing waits for', async () => {
    const runtime = await startOn(store)({ aggregates: [Counter], shards: 1 });
    const holding = Promise.withResolvers<void>();
    const end = Promise.withResolvers<void>();
    const commit = (): Promise<void> => {
      holding.resolve();
      return end.promise;
    };
    const unit = runtime
      .unitOfWork({ transaction: { commit, rollback() {} } })
      .run((work) => work.register(new Order('order', 'held')).place());
    await holding.promise;
    const doors: ((list: NewEvent[], options: any) => unknown)[] = [
      (list) => runtime.publisher.publish(...list),
      (list, options) => runtime.publisher.publishBatch(list, Object.assign(options, { ack: 'stored' })),
      (list) => runtime.publisher.publishAsync(...list),
      (list, options) => runtime.store.save(list, options),
    ];
    const calls: unknown[] = [];
    for (const aggregateId of ['held', 'new']) {
      for (const [i, door] of doors.entries()) {
        const args: [NewEvent[], any] = [[2 * i + 1, 2 * i + 2].map((n) => eventOf(aggregateId, n)), {}];
        calls.push(door(...args));
        reuse(args);
      }
    }
    end.resolve();
    await Promise.all([unit, ...calls]);
    for (const id of ['held', 'new']) {
      const events = (await runtime.store.getByAggregate('order', id)).filter(({ type }) => type === 'Noted');
      const told = events.map(({ data, metadata, occurredAt }) => [data, metadata.n, occurredAt.getTime()]);
      expect(told).toEqual(Array.from({ length: 8 }, (_, i) => [{ n: i + 1, parts: [i + 1] }, i + 1, i + 1]));
    }
  });
});

const eventOf = (aggregateId: string, n: number): NewEvent => ({
  aggregateType: 'order',
  aggregateId,
  type: 'Noted',
  data: { n, parts: [n] },
  metadata: { n },
  occurredAt: new Date(n),
});

async function all(events: AsyncIterable<unknown>): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const one of events) found.push(one);
  return found;
}

test('what is read, edited, requeued and discarded is what was asked for in the call', async () => {
  const runtime = await startRuntime({ shards: 1 });
  const { deadLetters, store } = runtime;
  runtime.subscribe({
    name: 'failing',
    retry: { attempts: 1 },
    breaker: false,
    handle: () => Promise.reject(new Error('always')),
  });
  const rows = runtime.project<number>({ name: 'rows', init: () => 0, apply: (row) => row + 1 });
  for (const id of ['a', 'b', 'other']) {
    await runtime.once(`fill ${id}`, (tx) => tx.put('kept', id, id));
    for (let i = 0; i < 3; i++) await runtime.ref(Counter, id).add(1);
  }
  await rows.caughtUpTo(runtime.status().written);
  await until(
    () => deadLetters.list(),
    ({ length }) => length === 9,
  );
  const since = (): Date => new Date(Date.now() - 60_000);
  const asked = { into: () => {}, types: ['Added'], dryRun: true, from: 2, to: 4 };
  const reads: Record<string, [() => any[], (...args: any[]) => unknown]> = {
    effects: [() => [{ prefix: 'a', limit: 1 }], (range) => runtime.effects.range('kept', range)],
    'projection.entries': [() => [{ start: 'a', end: 'b' }], (range) => rows.entries(range)],
    getByType: [() => [{ since: since(), limit: 2 }], (query) => store.getByType('Added', query)],
    stateAt: [() => [{ version: 2 }], (moment) => store.stateAt(Counter, 'a', moment)],
    query: [() => [{ types: ['Added'], since: since() }], (query) => store.query(query)],
    events: [() => [{ type: 'Added', from: 1, to: 3 }], (query) => runtime.events(query)],
    'deadLetters.list': [() => [{ aggregateId: 'a', limit: 2 }], (query) => deadLetters.list(query)],
    replay: [() => [{ ...asked, types: [...asked.types] }], (options) => runtime.replay(options).then((p) => p.events)],
  };
  const told = async (read: unknown): Promise<string> =>
    JSON.stringify(await (Symbol.asyncIterator in Object(read) ? all(read as AsyncIterable<unknown>) : read));
  for (const [door, [argumentsOf, read]] of Object.entries(reads)) {
    const args = argumentsOf();
    const reading = read(...args);
    reuse(args);
    expect([door, await told(reading)]).toEqual([door, await told(read(...argumentsOf()))]);
  }

  const [letter] = await deadLetters.list({ aggregateId: 'a' });
  const changes: [any[], (...args: any[]) => Promise<any>, unknown][] = [
    [
      [{ amount: 7, parts: [{ n: 7 }] }],
      (data) => deadLetters.edit(letter!.id, data),
      { amount: 7, parts: [{ n: 7 }] },
    ],
    [
      [{ handler: 'failing', aggregateId: 'a' }, { dryRun: true }],
      (...args) => deadLetters.discard(...(args as [any])),
      3,
    ],
    [
      [{ handler: 'failing', aggregateId: 'b' }, { dryRun: false }],
      (...args) => deadLetters.discard(...(args as [any])),
      3,
    ],
    [
      [{ handler: 'failing', aggregateId: 'a' }, { dryRun: true }],
      (...args) => deadLetters.requeue(...(args as [any])),
      3,
    ],
  ];
  for (const [args, change, outcome] of changes) {
    const changing = change(...args);
    reuse(args);
    const result = await changing;
    expect(Array.isArray(result) ? result.length : result.event.data).toEqual(outcome);
  }
  const left = (await deadLetters.list()).map(({ event }) => event.aggregateId);
  expect(left).toEqual(['a', 'a', 'a', 'other', 'other', 'other']);
});
