// Projections: rows folded once per event, kept or in memory, read after one's own writes, rebuilt beside those shown.
import { describe, expect, test } from 'vitest';
import type { StateTables } from '../../src/handler-state/handler-state.ts';
import { defineProjection, type ProjectionDefinition, type RangeOptions, type Runtime } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, until } from '../runtime/scratch.ts';
import { startOn, stores } from './stores.ts';

interface Totals {
  total: number;
  events: number;
}

const totals = (settings: Partial<ProjectionDefinition<Totals>> = {}): ProjectionDefinition<Totals> =>
  defineProjection({
    name: 'totals',
    aggregates: [Counter],
    events: ['Added'],
    init: (): Totals => ({ total: 0, events: 0 }),
    apply: (row, event) => ({ total: row.total + (event.data as { amount: number }).amount, events: row.events + 1 }),
    ...settings,
  });

describe.each(stores)('%s store', (store) => {
  const startRuntime = startOn(store);

  test.each(['lmdb', 'memory'] as const)('rows in %s: read your own writes, in order, over a restart', async (into) => {
    const dataDir = scratchFolder();
    for (let run = 1; run <= 2; run++) {
      const runtime = await startRuntime({ dataDir });
      const projection = runtime.project(totals({ into }));
      for (const id of ['b', 'a', 'c']) await runtime.ref(Counter, id).add(1);
      const receipt = await runtime.ref(Counter, 'a').add(5);
      await projection.caughtUpTo(receipt);
      expect(await projection.get('a')).toEqual({ total: 6 * run, events: 2 * run });
      expect(await projection.get('nobody')).toBeUndefined();
      expect((await projection.entries()).map(({ key, row }) => [key, row.total])).toEqual([
        ['a', 6 * run],
        ['b', run],
        ['c', run],
      ]);
      expect((await projection.entries({ start: 'b', limit: 1 })).map(({ key }) => key)).toEqual(['b']);
      expect((await projection.entries({ prefix: 'c' })).map(({ key }) => key)).toEqual(['c']);
      expect((await errorOf(projection.caughtUpTo(1e9, { timeoutMs: 5 }))).code).toBe('CaughtUpTimedOut');
      await runtime.close();
    }
  });

  test('keys are in the order of their bytes, and so are ranges, wherever they are kept', async () => {
    const runtime = await startRuntime();
    const keys = ['z', 'é', '\ue000', '\uffee', '😀', '😀a']; // UTF-16 has the last two before U+E000
    const projections = (['lmdb', 'memory'] as const).map((into) => runtime.project(totals({ name: into, into })));
    await runtime.once('effects', (tx) => {
      for (const key of keys.toReversed()) tx.put('table', key, 1);
    });
    for (const id of keys.toReversed()) await runtime.ref(Counter, id).add(1);
    const ranges: [RangeOptions, string[]][] = [
      [{}, keys],
      [{ start: 'é', end: '😀' }, keys.slice(1, 4)],
      [{ start: '\uffee' }, keys.slice(3)],
      [{ end: '\ue000' }, keys.slice(0, 2)],
      [{ prefix: '😀', start: 'a' }, keys.slice(4)], // it begins with the prefix, not before
      [{ prefix: '😀', start: '😀a' }, keys.slice(5)],
      [{ prefix: '\ue000', end: 'z' }, []],
      [{ start: 'é', limit: 2 }, keys.slice(1, 3)],
    ];
    const places = [
      ...projections.map((projection) => (range: RangeOptions) => projection.entries(range)),
      (range: RangeOptions) => runtime.effects.range('table', range),
    ];
    for (const projection of projections) await projection.caughtUpTo(runtime.status().written);
    for (const [range, wanted] of ranges) {
      for (const place of places) expect([range, (await place(range)).map(({ key }) => key)]).toEqual([range, wanted]);
    }
    for (const place of places) {
      for (const half of [{ prefix: '\ud83d' }, { start: '\ude00' }, { end: 'a\ud83d' }])
        expect((await errorOf(place(half))).code).toBe('InvalidOptions');
    }
  });

  test('several rows an event, rows that go, an own key', async () => {
    const runtime = await startRuntime();
    const projection = runtime.project(
      defineProjection({
        name: 'parity',
        events: ['Added'],
        key: (event) => ['all', (event.data as { amount: number }).amount % 2 ? 'odd' : 'even'],
        init: () => ({ count: 0 }),
        apply: (row, event, key) =>
          key === 'odd' && (event.data as { amount: number }).amount === 9 ? undefined : { count: row.count + 1 },
      }),
    );
    let receipt = { position: 0 };
    for (const amount of [1, 2, 3, 4]) receipt = await runtime.ref(Counter, 'a').add(amount);
    await projection.caughtUpTo(receipt);
    expect(await projection.entries()).toEqual([
      { key: 'all', row: { count: 4 } },
      { key: 'even', row: { count: 2 } },
      { key: 'odd', row: { count: 2 } },
    ]);
    await projection.caughtUpTo(await runtime.ref(Counter, 'a').add(9));
    expect(await projection.get('odd')).toBeUndefined();
    expect(Object.isFrozen(await projection.get('all'))).toBe(true);
  });

  test('another version is built beside the rows that are shown, and shown when it has caught up', async () => {
    const dataDir = scratchFolder();
    const first = await startRuntime({ dataDir });
    const before = first.project(totals());
    await before.caughtUpTo(await first.ref(Counter, 'a').add(2));
    await first.close();
    let release: () => void = () => {};
    const gate = { open: false };
    const second = await startRuntime({ dataDir });
    const doubled = second.project(
      totals({
        version: 2,
        apply(row, event) {
          if (!gate.open) throw new Error('not yet');
          return { total: row.total + 2 * (event.data as { amount: number }).amount, events: row.events + 1 };
        },
      }),
    );
    release = () => {
      gate.open = true;
    };
    await until(
      () => doubled.get('a').then(() => doubled.status().state),
      (state) => state === 'stopped',
    );
    expect(await doubled.get('a')).toEqual({ total: 2, events: 1 }); // the old rows, meanwhile
    expect(doubled.status()).toMatchObject({ isRebuilding: true, version: 2 });
    await second.close();
    release();
    const third = await startRuntime({ dataDir });
    const again = third.project(
      totals({
        version: 2,
        apply: (row, event) => ({
          total: row.total + 2 * (event.data as { amount: number }).amount,
          events: row.events + 1,
        }),
      }),
    );
    await again.caughtUpTo(await third.ref(Counter, 'a').add(1));
    expect(await again.get('a')).toEqual({ total: 6, events: 2 });
    expect(again.status().isRebuilding).toBe(false);
    // Beside the running one, with the same code.
    const rebuilt = again.rebuild();
    await third.ref(Counter, 'a').add(1);
    await rebuilt;
    await again.caughtUpTo(third.status().written);
    expect(await again.get('a')).toEqual({ total: 8, events: 3 });
    await leftOver(third, 0);
  });

  /** Rows of generations that are not shown any more are removed. */
  async function leftOver(runtime: Runtime, count: number): Promise<void> {
    const { stage } = runtime.project(totals({ name: 'other' })) as unknown as { stage: { local: StateTables } };
    await until(
      async () => (await stage.local.range('rows:totals')).filter(({ key }: { key: string }) => !key.startsWith('3\0')),
      (rows) => rows.length === count,
    );
  }

  test('bad definitions', async () => {
    const wrong = (definition: object): string | undefined => {
      try {
        defineProjection(definition as never);
        return undefined;
      } catch (error) {
        return (error as { details: { option: string } }).details.option;
      }
    };
    const { init, apply } = totals();
    expect(wrong({ name: '', init, apply })).toBe('projection.name');
    expect(wrong({ name: 'a', apply })).toBe('projection.init');
    expect(wrong({ name: 'a', init })).toBe('projection.apply');
    expect(wrong({ name: 'a', init, apply, version: 0 })).toBe('projection.version');
    expect(wrong({ name: 'a', init, apply, into: 'redis' })).toBe('projection.into');
    expect(wrong({ name: 'a', init, apply, into: {} })).toBe('projection.into.table');
    expect(wrong({ name: 'a', init, apply, into: { table: 't', colum: 'k' } })).toBe('projection.into.colum');
    expect(wrong({ name: 'a', init, apply, into: { table: 't', batchEvents: 0 } })).toBe('projection.into.batchEvents');
  });
});
