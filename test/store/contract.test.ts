// What every store has to do, whatever it is: tried with a runtime on it, in the embedded one, in PostgreSQL, and in one in
// memory that knows of the runtime what an adapter may know (`in-memory/`).
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { openEventStore, type Runtime, type RuntimeOptions } from '../../src/index.ts';
import type { StoreOptions } from '../../src/store/adapter.ts';
import { storeOf } from '../handlers/stores.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { inMemory } from './in-memory/options.ts';
import { collect } from './sample.ts';

/** undefined: the events are in the data directory. */
const stores: Record<string, () => Promise<StoreOptions | undefined>> = {
  embedded: async () => undefined,
  postgres: () => storeOf(scratchFolder()),
  'in memory': async () => inMemory(),
};

const start = (store: StoreOptions | undefined, options: Partial<RuntimeOptions> = {}): Promise<Runtime> =>
  startRuntime({ shards: 1, ...(store && { store }), ...options });

const stored = { ack: 'stored' } as const;
const versions = (events: readonly { version: number }[]): number[] => events.map(({ version }) => version);

describe.each(Object.keys(stores))('%s', (name) => {
  test('what was stored is read by aggregate, version, type, time, correlation, and folded to any moment', async () => {
    const runtime = await start(await stores[name]!());
    const { store } = runtime;
    for (const [id, amount] of [
      ['b', 1],
      ['a', 2],
      ['b', 3],
      ['é', 4],
    ] as const) {
      await runtime
        .ref(Counter, id)
        .with({ ...stored, metadata: { correlationId: `with-${id}` } })
        .add(amount);
    }
    await runtime.ref(Counter, 'b').with(stored).label('x');
    expect(versions(await store.getByAggregate(Counter, 'b'))).toEqual([1, 2, 3]);
    expect(versions(await store.getFromVersion(Counter, 'b', 2, 1))).toEqual([2]);
    expect(await store.getByAggregate(Counter, 'none')).toEqual([]);
    const added = await store.getByType('Added', { aggregate: Counter });
    expect(added.map(({ data }) => data.amount)).toEqual([1, 2, 3, 4]);
    expect((await store.getByType('Added', { limit: 2 })).length).toBe(2);
    const correlated = await collect(store.query({ correlationId: 'with-b' }));
    expect(versions(correlated)).toEqual([1, 2]);
    const [first] = added;
    expect(await collect(store.query({ until: first!.occurredAt }))).toEqual([]);
    expect(first).toMatchObject({ aggregateType: 'counter', aggregateId: 'b', type: 'Added', version: 1 });
    expect(await store.stateAt(Counter, 'b', { version: 2 })).toMatchObject({ state: { total: 4 }, version: 2 });
    expect(await store.stateAt(Counter, 'none', { version: 2 })).toBeUndefined();
    expect(await store.head(Counter, 'b')).toMatchObject({ version: 3 });
    expect(await store.head(Counter, 'none')).toBeUndefined();
    expect((await collect(store.heads(Counter))).map(({ id, version }) => [id, version])).toEqual([
      ['a', 1],
      ['b', 3],
      ['é', 1],
    ]);
  });

  test('a restart goes on from it: states, repeated commands, the history in log order', async () => {
    const [store, dataDir] = [await stores[name]!(), scratchFolder()];
    let runtime = await start(store, { dataDir });
    for (let i = 0; i < 25; i++)
      await runtime
        .ref(Counter, `c${i % 3}`)
        .with({ idempotencyKey: `k${i}` })
        .add(1);
    await runtime.reached('stored');
    await runtime.close();
    runtime = await start(store, { dataDir });
    expect(
      (
        await runtime
          .ref(Counter, 'c0')
          .with({ ...stored, idempotencyKey: 'k0' })
          .add(1)
      ).version,
    ).toBe(1);
    expect((await runtime.ref(Counter, 'c0').with(stored).add(1)).value).toBe(10);
    const history = await collect(runtime.events({ type: 'Added' }));
    expect(history.map(({ position }) => position)).toEqual(
      history.map(({ position }) => position).sort((a, b) => a - b),
    );
    expect(history.length).toBe(26);
    expect((await collect(runtime.events({ from: history[20]!.position }))).length).toBe(6);
  });

  test('several runtimes in turn, and many aggregates at once: nothing is missing, nothing is twice', async () => {
    const runtime = await start(await stores[name]!(), { shards: 2 });
    await Promise.all(Array.from({ length: 300 }, (_, i) => runtime.ref(Counter, `m${i % 30}`).add(1)));
    await runtime.reached('stored');
    const events = await collect(runtime.store.query({ type: 'Added' }));
    expect(new Set(events.map(({ id }) => id)).size).toBe(300);
    for (let i = 0; i < 30; i++) {
      const mine = events.filter(({ aggregateId }) => aggregateId === `m${i}`);
      expect(versions(mine)).toEqual(Array.from({ length: 10 }, (_, v) => v + 1));
    }
  });
});

// Those that another machine reaches.
describe.each(Object.keys(stores).filter((name) => name !== 'embedded'))('%s, on two machines', (name) => {
  test('another log takes an aggregate over; what the first one says then is refused, kept, and named', async () => {
    const store = await stores[name]!();
    const one = await start(store);
    const two = await start(store);
    await one.ref(Counter, 'x').with(stored).add(1);
    expect((await two.ref(Counter, 'x').with(stored).add(10)).value).toBe(11);
    expect(await errorOf(one.ref(Counter, 'x').with(stored).add(100))).toMatchObject({ code: 'Quarantined' });
    expect((await one.ref(Counter, 'x').with(stored).add(1000)).value).toBe(1011);
    const refused = await collect(one.store.quarantined());
    expect(refused.map(({ event }) => event.data)).toEqual([{ amount: 100 }]);
    expect(versions(await two.store.getByAggregate(Counter, 'x'))).toEqual([1, 2, 3]);
  });

  test('it is read without a runtime, and takes nothing then', async () => {
    const store = (await stores[name]!())!;
    const runtime = await start(store);
    await runtime.ref(Counter, 'x').with(stored).add(1);
    await using alone = await openEventStore(store);
    expect(versions(await alone.getByAggregate(Counter, 'x'))).toEqual([1]);
    expect(await errorOf(alone.save())).toMatchObject({ code: 'StoreReadOnly' });
  });
});

test('the store in memory is one folder of at most 400 lines', () => {
  const folder = new URL('./in-memory/', import.meta.url);
  const files = readdirSync(folder);
  const lines = files.map((file) => readFileSync(new URL(file, folder), 'utf8').split('\n').length - 1);
  expect(files.length).toBeGreaterThan(3);
  expect(lines.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(400);
});

test('in memory: commands go on while it is away, and all of it arrives', async () => {
  const store = inMemory();
  const runtime = await start(store);
  await runtime.ref(Counter, 'x').with(stored).add(1);
  store.holder.isAway = true;
  for (let i = 0; i < 20; i++) await runtime.ref(Counter, 'x').add(1);
  await until(
    () => runtime.status(),
    ({ written, stored }) => written > stored,
  );
  expect(await errorOf(runtime.store.head(Counter, 'x'))).toMatchObject({
    code: 'StoreUnavailable',
    details: { store: 'in-memory' },
  });
  store.holder.isAway = false;
  await runtime.reached('stored');
  expect(await runtime.store.head(Counter, 'x')).toMatchObject({ version: 21 });
});
