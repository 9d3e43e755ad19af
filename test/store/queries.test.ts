import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { EmbeddedStore } from '../../src/adapters/lmdb/store/embedded.ts';
import { EmbeddedSink } from '../../src/adapters/lmdb/store/sink.ts';
import { BatchBuffer } from '../../src/flush/batch.ts';
import { defineAggregate } from '../../src/model/aggregate.ts';
import type { StoredEvent } from '../../src/model/event.ts';
import { event } from '../../src/model/event-spec.ts';
import { FrameKind } from '../../src/wire/frame.ts';
import { batchOf, chunkOf, collect, type Group, temporaryFolder } from './sample.ts';

const Counter = defineAggregate('counter', {
  module: import.meta.url,
  state: () => ({ total: 0, seen: [] as number[] }),
  events: { Added: event<{ amount: number }>(), Reset: event<Record<string, never>>() },
  evolve: {
    Added: (state, { amount }, { version }) => ({ total: state.total + amount, seen: [...state.seen, version] }),
    Reset: (state) => ({ total: 0, seen: state.seen }),
  },
  commands: {},
});

describe.each([1, 3, 400])('indexed every %i blocks:', (indexEvery) => {
  let sink: EmbeddedSink;
  let store: EmbeddedStore;
  let next: number;
  let folder: string;

  beforeEach(async () => {
    folder = temporaryFolder(onTestFinished);
    sink = new EmbeddedSink(folder, 'log-1', { indexEvery });
    await sink.open();
    store = EmbeddedStore.open(folder);
    next = 1;
    onTestFinished(async () => {
      await store.close();
      await sink.close();
    });
  });

  function write(...groups: Group[]): void {
    const batch = batchOf(next, groups);
    sink.write(batch);
    next = batch.toPosition + 1;
  }

  const added = (version: number, at = version, id = 'c') => ({
    aggregate: 'counter',
    id,
    version,
    name: 'Added',
    data: { amount: version },
    at,
  });
  const versions = (events: readonly StoredEvent[]): number[] => events.map(({ version }) => version);
  const positions = (events: readonly StoredEvent[]): number[] => events.map(({ position }) => position);

  test('events with more than 2^32 positions between them are found, after a new start as well', async () => {
    const far = 2 ** 32;
    for (const [version, position] of [1, 2, 1 + far, 2 + far, 3 + 2 * far, 3 + 3 * far].entries()) {
      const batch = new BatchBuffer();
      batch.begin(position, true);
      batch.take(chunkOf(position, [[added(version + 1)]]), position);
      sink.write(batch);
      if (version !== 3) continue;
      await sink.close();
      sink = new EmbeddedSink(folder, 'log-1', { indexEvery });
      await sink.open();
    }
    next = 4 + 3 * far;
    for (let version = 7; version <= 7 + indexEvery; version++) write([added(version)]);
    const all = Array.from({ length: 7 + indexEvery }, (_, i) => i + 1);
    expect(versions(await store.getByType('Added'))).toEqual(all);
    expect(versions(await store.getByType('Added', { since: new Date(4) }))).toEqual(all.slice(3));
  });

  describe('by aggregate', () => {
    test('whole events, by definition or by name; none for an unknown id', async () => {
      const at = Date.UTC(2026, 0, 2);
      write([{ ...added(1, at), metadata: { correlationId: 'x' }, eventId: '01890a5d-ac96-774b-bcce-b302099a8057' }]);
      const [found] = await store.getByAggregate(Counter, 'c');
      expect(found!.toJSON()).toEqual({
        id: '01890a5d-ac96-774b-bcce-b302099a8057',
        position: 1,
        aggregateType: 'counter',
        aggregateId: 'c',
        version: 1,
        type: 'Added',
        schemaVersion: 1,
        occurredAt: '2026-01-02T00:00:00.000Z',
        data: { amount: 1 },
        metadata: { correlationId: 'x' },
      });
      expect(versions(await store.getByAggregate('counter', 'c'))).toEqual([1]);
      expect(await store.getByAggregate(Counter, 'nobody')).toEqual([]);
      expect(await store.getByAggregate('nothing', 'c')).toEqual([]);
    });

    test('from a version on', async () => {
      for (let version = 1; version <= 5; version++) write([added(version), added(version, 0, 'd')]);
      expect(versions(await store.getFromVersion(Counter, 'c', 4))).toEqual([4, 5]);
      expect(positions(await store.getFromVersion('counter', 'c', 4))).toEqual([7, 9]);
      expect(await store.getFromVersion('counter', 'c', 6)).toEqual([]);
      expect(versions(await store.getFromVersion('counter', 'c', 0))).toEqual([1, 2, 3, 4, 5]);
    });
  });

  describe('by type', () => {
    test('since and until, though the clock went back and forth', async () => {
      const times = [50, 10, 70, 20, 90, 30, 5, 60, 100, 1];
      for (const [i, at] of times.entries()) write([added(i + 1, at)]);
      const found = async (since?: number, until?: number): Promise<number[]> => {
        const query = {
          ...(since === undefined ? {} : { since: new Date(since) }),
          ...(until === undefined ? {} : { until: new Date(until) }),
        };
        return (await store.getByType('Added', query)).map(({ occurredAt }) => occurredAt.getTime());
      };
      for (const since of [0, 1, 20, 21, 60, 90, 100, 101]) {
        expect(await found(since)).toEqual(times.filter((at) => at >= since));
        expect(await found(undefined, since)).toEqual(times.filter((at) => at < since));
        expect(await found(since, since + 30)).toEqual(times.filter((at) => at >= since && at < since + 30));
      }
    });

    test('finds the few among the many, over many blocks and index entries, in log order', async () => {
      const rare: number[] = [];
      let version = 0;
      for (let batch = 0; batch < 40; batch++) {
        const groups = Array.from({ length: 300 }, (_, i): Group => {
          version++;
          if (version % 1111 !== 0) return [added(version, version)];
          rare.push(next + i);
          return [{ ...added(version, version), name: 'Reset', data: {} }];
        });
        write(...groups);
      }
      expect(positions(await store.getByType('Reset'))).toEqual(rare);
      expect(positions(await store.getByType('Reset', { since: new Date(5555) }))).toEqual(rare.slice(4));
      expect(await store.getByType('Added', { limit: 5000 })).toHaveLength(5000);
      expect(await store.getByType('Unheard')).toEqual([]);
    });

    test('of one aggregate type among several', async () => {
      write([added(1)], [{ ...added(1), aggregate: 'other' }], [added(2)]);
      expect(positions(await store.getByType('Added'))).toEqual([1, 2, 3]);
      expect(positions(await store.getByType('Added', { aggregate: Counter }))).toEqual([1, 3]);
      expect(positions(await store.getByType('Added', { aggregate: 'other' }))).toEqual([2]);
    });

    test('an index entry that is full is followed by another', async () => {
      // One event a block: a batch of more blocks than an entry names.
      const data = { text: 'x'.repeat(9000) };
      write(...Array.from({ length: 900 }, (_, i): Group => [{ ...added(i + 1, i), data }]));
      write([added(901, 901)]);
      expect(versions(await store.getByType('Added'))).toHaveLength(901);
      expect(versions(await store.getByType('Added', { since: new Date(898) }))).toEqual([899, 900, 901]);
    });
  });

  describe('state then', () => {
    beforeEach(() => {
      write(
        [added(1, 100)],
        [added(2, 300), { kind: FrameKind.message, version: 2 }],
        [added(3, 200)],
        [added(4, 400)],
      );
    });

    test.each([
      [1, 1, 1],
      [3, 6, 4],
      [4, 10, 5],
      [9, 10, 5],
    ])('at version %i', async (version, total, position) => {
      const then = await store.stateAt(Counter, 'c', { version });
      expect(then).toMatchObject({ version: Math.min(version, 4), position, state: { total } });
    });

    test.each([
      [100, 1],
      [150, 1],
      [200, 3], // version 2 had a clock that was ahead; nothing before version 3 is left out
      [1000, 4],
    ])('at time %i', async (time, version) => {
      expect(await store.stateAt(Counter, 'c', { time: new Date(time) })).toMatchObject({
        version,
        state: { seen: [1, 2, 3, 4].slice(0, version) },
      });
    });

    test('before the first event, and of nobody', async () => {
      expect(await store.stateAt(Counter, 'c', { version: 0 })).toBeUndefined();
      expect(await store.stateAt(Counter, 'c', { time: new Date(99) })).toBeUndefined();
      expect(await store.stateAt(Counter, 'nobody', { version: 1 })).toBeUndefined();
    });

    test('an event that the definition does not know is an error', async () => {
      write([{ ...added(5), name: 'Renamed' }]);
      await expect(store.stateAt(Counter, 'c', { version: 5 })).rejects.toMatchObject({ code: 'UnknownEventType' });
      expect(await store.stateAt(Counter, 'c', { version: 4 })).toMatchObject({ version: 4 });
    });
  });

  test('heads, one and all', async () => {
    const ids = Array.from({ length: 2500 }, (_, i) => `id-${String(i).padStart(5, '0')}`);
    write(...ids.map((id): Group => [added(1, 0, id)]));
    write(
      [added(2, 0, ids[7]!)],
      [{ ...added(1), aggregate: 'counters', id: 'a' }],
      [{ ...added(1), aggregate: 'a', id: 'a' }],
    );
    const all = await collect(store.heads(Counter));
    expect(all.map(({ id }) => id)).toEqual(ids);
    expect(all[7]).toEqual({ id: ids[7], version: 2, position: 2501 });
    expect(await store.head('counter', ids[7]!)).toEqual({ version: 2, position: 2501 });
    expect(await store.head(Counter, 'nobody')).toBeUndefined();
    expect(await collect(store.heads('nothing'))).toEqual([]);
  });
});
