// What a unit of work commits is published: all that could refuse its events does so before the transaction of the user's own
// commits, and until that has ended nobody else takes their versions or their place.
import { expect, test } from 'vitest';
import { AggregateRoot, type NewEvent, type Runtime, type RuntimeOptions, type UnitOfWork } from '../../src/index.ts';
import { Counter } from './aggregates.ts';
import { errorOf, scratchFolder, startRuntime } from './scratch.ts';

class Order extends AggregateRoot {
  constructor(id: string, type = 'order') {
    super(type, id);
  }

  place(data: unknown): this {
    this.raise('Placed', data as never);
    return this;
  }
}

const plain = (aggregateId: string, n = 0): NewEvent => ({
  aggregateType: 'order',
  aggregateId,
  type: 'Noted',
  data: { n },
});

/** A transaction that says what became of it; `meanwhile` runs inside its commit. */
function recorded(meanwhile: () => Promise<void> | void = () => {}) {
  const steps: string[] = [];
  const transaction = {
    commit: async () => {
      await meanwhile();
      steps.push('commit');
    },
    rollback: () => void steps.push('rollback'),
  };
  return { steps, transaction };
}

const versionsOf = async (runtime: Runtime, id: string): Promise<number[]> => {
  await runtime.reached('stored');
  return (await runtime.store.getByAggregate('order', id)).map(({ version }) => version);
};

interface Refused {
  options?: Partial<RuntimeOptions>;
  order: () => Order;
  meanwhile?: (runtime: Runtime) => unknown;
}

const refusals: Record<string, Refused> = {
  CommandTooLarge: {
    options: { flush: { ringBytes: 65_536 } },
    order: () => new Order('a').place({ pad: 'x'.repeat(40_000) }),
  },
  AggregateTypeOwnedElsewhere: { order: () => new Order('a', Counter.name).place({}) },
  InvalidId: { order: () => new Order('x'.repeat(2_000)).place({}) },
  ConcurrencyConflict: {
    order: () => new Order('a').place({}),
    meanwhile: (runtime) => runtime.publisher.publish(plain('a')),
  },
  TooManyInFlight: {
    options: { maxInFlight: 1 },
    order: () => new Order('a').place({}),
    meanwhile: (runtime) => runtime.publisher.publishAsync(plain('b')),
  },
};

test.each(Object.entries(refusals))('%s is said before the transaction commits', async (code, refused) => {
  const runtime = await startRuntime(refused.options);
  const { steps, transaction } = recorded();
  const work = runtime.unitOfWork({ transaction });
  const order = await caught(() => work.register(refused.order()));
  if (order instanceof Error) {
    expect(order).toMatchObject({ code }); // already where it was made
    return;
  }
  await refused.meanwhile?.(runtime);
  expect((await errorOf(work.commit())).code).toBe(code);
  expect(steps).toEqual(['rollback']);
  const all: string[] = [];
  for await (const { type } of runtime.events({ type: 'Placed' })) all.push(type);
  expect(all).toEqual([]);
});

async function caught<T>(make: () => T): Promise<T | Error> {
  try {
    return make();
  } catch (error) {
    return error as Error;
  }
}

test('what comes for the same entity while the transaction commits waits, in order, and goes on from there', async () => {
  const runtime = await startRuntime();
  const later: Promise<unknown>[] = [];
  const rival = recorded();
  const second = runtime.unitOfWork({ transaction: rival.transaction });
  second.register(new Order('a')).place({ by: 'rival' });
  const { steps, transaction } = recorded(async () => {
    later.push(runtime.publisher.publish(plain('a', 1)), errorOf(second.commit()));
    later.push(runtime.publisher.publish(plain('b', 2), plain('a', 2)), runtime.publisher.publish(plain('b', 3)));
    await runtime.publisher.publish(plain('c')); // another entity waits for nobody
    expect(runtime.publisher.version('order', 'a')).toBe(0);
  });
  const work = runtime.unitOfWork({ transaction });
  work.register(new Order('a')).place({ by: 'first' });
  expect((await work.commit()).map(({ version }) => version)).toEqual([1]);
  const [, conflict] = await Promise.all(later);
  expect(conflict).toMatchObject({ code: 'ConcurrencyConflict', details: { actualVersion: 3, expectedVersion: 0 } });
  expect([steps, rival.steps]).toEqual([['commit'], ['rollback']]);
  expect(await versionsOf(runtime, 'a')).toEqual([1, 2, 3]);
  const ofB = await runtime.store.getByAggregate('order', 'b');
  expect(ofB.map(({ data }) => data)).toEqual([{ n: 2 }, { n: 3 }]);
});

test('a commit that fails gives its versions to whoever waits', async () => {
  const runtime = await startRuntime();
  let waiting: Promise<unknown> | undefined;
  const { steps, transaction } = recorded(() => {
    waiting = runtime.publisher.publish(plain('a'));
    throw new Error('the server says no');
  });
  const work = runtime.unitOfWork({ transaction });
  work.register(new Order('a')).place({});
  expect((await errorOf(work.commit())).message).toBe('the server says no');
  await waiting;
  expect(steps).toEqual(['rollback']);
  expect(await versionsOf(runtime, 'a')).toEqual([1]);
});

test('it has its place when everything in flight is taken meanwhile', async () => {
  const runtime = await startRuntime({ maxInFlight: 4, flush: { whenFull: 'reject' } });
  const { steps, transaction } = recorded(() => {
    for (let i = 0; i < 3; i++) runtime.publisher.publishAsync(plain(`b${i}`));
    expect(() => runtime.publisher.publishAsync(plain('one more'))).toThrow(/flight/);
  });
  const work = runtime.unitOfWork({ transaction });
  work.register(new Order('a')).place({});
  expect(await work.commit()).toHaveLength(1);
  expect(steps).toEqual(['commit']);
});

test('a runtime that is closed meanwhile waits for it', async () => {
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir });
  let closed: Promise<void> | undefined;
  let behind: Promise<unknown> | undefined;
  const { steps, transaction } = recorded(() => {
    behind = errorOf(runtime.publisher.publish(plain('a')));
    closed = runtime.close();
  });
  const work: UnitOfWork = runtime.unitOfWork({ transaction });
  work.register(new Order('a')).place({});
  expect(await work.commit()).toHaveLength(1);
  expect(await behind).toMatchObject({ code: 'RuntimeClosed' });
  await closed;
  expect(steps).toEqual(['commit']);
  expect(await versionsOf(await startRuntime({ dataDir }), 'a')).toEqual([1]);
});

test('a commit that waits for its own entity ends with the bound of waits', async () => {
  const runtime = await startRuntime({ waitTimeoutMs: 1000 });
  const { steps, transaction } = recorded(async () => {
    await runtime.publisher.publish(plain('a'));
  });
  const work = runtime.unitOfWork({ transaction });
  work.register(new Order('a')).place({});
  expect(await errorOf(work.commit())).toMatchObject({
    code: 'WaitTimedOut',
    details: { what: 'the end of a commit that holds order/a' },
  });
  expect(steps).toEqual(['rollback']);
  expect(await versionsOf(runtime, 'a')).toEqual([]);
});

test('a rollback that fails as well leaves the caller the error that was the reason, itself, and is its cause', async () => {
  const lines: unknown[] = [];
  const logger = { debug() {}, info() {}, warn() {}, error: (line: unknown) => void lines.push(line) };
  const runtime = await startRuntime({ shards: 1, logger });
  const lost = new Error('connection lost');
  const transaction = { commit() {}, rollback: () => Promise.reject(lost) };
  const unit = (): UnitOfWork => runtime.unitOfWork({ transaction });
  const throwing = (reason: unknown) => (): never => {
    throw reason;
  };
  const place = (work: UnitOfWork): unknown => work.register(new Order('o')).place({});
  const ways: ((reason: unknown) => Promise<unknown>)[] = [
    (reason) => unit().run(throwing(reason)),
    (reason) => unit().before('*', throwing(reason)).run(place),
    (reason) => runtime.unitOfWork({ transaction: { ...transaction, commit: throwing(reason) } }).run(place),
    async (reason) => {
      const work = unit().before('*', throwing(reason));
      place(work);
      await work.commit();
    },
  ];
  for (const way of ways) {
    const reason: Error = new RangeError('not enough');
    expect(await errorOf(way(reason))).toBe(reason);
    expect(reason.cause).toBe(lost);
    const caused = new Error('not enough', { cause: 'its own' });
    expect(await errorOf(way(caused))).toBe(caused);
    expect(caused.cause).toBe('its own');
    const frozen = Object.freeze(new Error('not enough'));
    expect(await errorOf(way(frozen))).toBe(frozen);
  }
  expect(lines).toEqual(Array.from({ length: 3 * ways.length }, () => ({ err: lost })));
  await expect(unit().rollback()).rejects.toBe(lost);
});
