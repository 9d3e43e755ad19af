// Whatever groups come, in whatever batches, with replays after crashes in between: the store answers as a plain list does.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EmbeddedStore } from '../../src/adapters/lmdb/store/embedded.ts';
import { EmbeddedSink } from '../../src/adapters/lmdb/store/sink.ts';
import { History } from '../../src/store/history.ts';
import { FrameKind, type FrameReader } from '../../src/wire/frame.ts';
import { TestControlBlock } from '../control-block.ts';
import { batchOf, collect, type Group, MemoryLog, type SampleFrame, temporaryFolder } from './sample.ts';

const types = ['A', 'B', 'C'];
const aggregates = ['x', 'y'];
const ids = ['1', '2', '3'];

const command = fc.record({
  aggregate: fc.constantFrom(...aggregates),
  id: fc.constantFrom(...ids),
  events: fc.array(
    fc.record({
      name: fc.constantFrom(...types),
      at: fc.integer({ min: 0, max: 20 }),
      size: fc.constantFrom(1, 1, 500, 9000),
    }),
    { maxLength: 4 },
  ),
  snapshot: fc.constantFrom('', '', 'f', 'g'),
  key: fc.constantFrom('', '', 'k1', 'k2'),
  message: fc.boolean(),
});
// How many commands each batch holds, whether it comes twice, and whether the store is opened anew before it.
const batch = fc.record({
  commands: fc.array(command, { minLength: 1, maxLength: 8 }),
  twice: fc.boolean(),
  reopen: fc.boolean(),
});

type Placed = SampleFrame & { position: number };

test('the store equals a list', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(batch, { maxLength: 8 }), fc.constantFrom(1, 2, 5, 400), async (batches, indexEvery) => {
      let remove = (): void => {};
      const folder = temporaryFolder((action) => {
        remove = action;
      });
      let sink = new EmbeddedSink(folder, 'log', { indexEvery });
      await sink.open();
      const list: Placed[] = [];
      const versions = new Map<string, number>();
      const log = new MemoryLog();
      let before: Group[] = [];
      for (const { commands, twice, reopen } of batches) {
        const groups = commands.map((one) => groupOf(one, versions)).filter((group) => group.length > 0);
        if (groups.length === 0) continue;
        if (reopen) {
          await sink.close();
          sink = new EmbeddedSink(folder, 'log', { indexEvery });
          expect(await sink.open()).toBe(list.length);
        }
        const first = list.length + 1;
        for (const frame of groups.flat()) list.push({ ...frame, position: list.length + 1 });
        sink.write(batchOf(first, groups));
        // After a crash the flusher comes with what was committed already, and perhaps with what came before it as well.
        if (twice) sink.write(batchOf(first - before.flat().length, [...before, ...groups]));
        log.append(...groups);
        before = groups;
      }
      const store = EmbeddedStore.open(folder);
      try {
        await compare(store, log, list);
      } finally {
        await store.close();
        await sink.close();
        remove();
      }
    }),
    { numRuns: 60 },
  );
});

function groupOf(one: typeof command extends fc.Arbitrary<infer T> ? T : never, versions: Map<string, number>): Group {
  const { aggregate, id } = one;
  const key = `${aggregate}/${id}`;
  let version = versions.get(key) ?? 0;
  const group: Group = one.events.map(({ name, at, size }) => {
    version++;
    return { aggregate, id, version, name, at, data: { version, text: 'x'.repeat(size) } };
  });
  versions.set(key, version);
  if (one.snapshot !== '' && version > 0) {
    group.push({ kind: FrameKind.snapshot, aggregate, id, version, name: one.snapshot, data: { version } });
  }
  if (one.message) group.push({ kind: FrameKind.message, aggregate, id, version, name: 'm' });
  if (one.key !== '') {
    const data = { events: one.events.length, expiresAt: Date.now() + 1e6 };
    group.push({ kind: FrameKind.receipt, aggregate, id, version, name: one.key, data });
  }
  return group;
}

async function compare(store: EmbeddedStore, log: MemoryLog, list: readonly Placed[]): Promise<void> {
  const events = list.filter(({ kind }) => kind === undefined);
  const places = (some: readonly { position: number }[]): number[] => some.map(({ position }) => position);
  for (const aggregate of aggregates) {
    for (const id of ids) {
      const mine = list.filter((frame) => frame.aggregate === aggregate && frame.id === id);
      const own = mine.filter(({ kind }) => kind === undefined);
      const found = await store.getByAggregate(aggregate, id);
      expect(found.map(({ position, version, data }) => ({ position, version, data }))).toEqual(
        own.map(({ position, version, data }) => ({ position, version, data })),
      );
      expect(places(await store.getFromVersion(aggregate, id, 3))).toEqual(places(own.slice(2)));
      const last = own.at(-1);
      expect(store.reader.head(aggregate, id)).toEqual(last && { version: last.version, position: last.position });
      compareLoad(store, aggregate, id, mine, own);
      for (const key of ['k1', 'k2']) {
        const kept = mine.findLast(({ kind, name }) => kind === FrameKind.receipt && name === key);
        const receipt = store.reader.receipt(aggregate, id, key);
        expect(receipt).toEqual(kept && { version: kept.version, position: kept.position, outcome: kept.data });
      }
    }
  }
  for (const type of types) {
    for (const [since, until] of [
      [0, 21],
      [7, 21],
      [0, 13],
      [5, 9],
    ] as const) {
      const wanted = events.filter(({ name, at }) => name === type && at! >= since && at! < until);
      const query = { since: new Date(since), until: new Date(until) };
      expect(places(await store.getByType(type, query))).toEqual(places(wanted));
      const inX = wanted.filter(({ aggregate }) => aggregate === 'x');
      expect(places(await store.getByType(type, { ...query, aggregate: 'x', limit: 3 }))).toEqual(
        places(inX.slice(0, 3)),
      );
    }
  }
  const control = new TestControlBlock();
  control.publish('written', list.length);
  const history = new History(store, log, control);
  expect(places(await collect(history.events({ pageSize: 5 })))).toEqual(places(events));
  const some = { aggregate: 'y', types: ['A', 'C'], since: new Date(4), from: 3, pageSize: 2 };
  const wanted = events.filter((e) => e.aggregate === 'y' && e.name !== 'B' && e.at! >= 4 && e.position >= 3);
  expect(places(await collect(history.events(some)))).toEqual(places(wanted));
}

function compareLoad(
  store: EmbeddedStore,
  aggregate: string,
  id: string,
  mine: readonly Placed[],
  own: readonly Placed[],
): void {
  const loaded = store.reader.load(aggregate, id, 'f');
  if (own.length === 0) {
    expect(loaded).toBeUndefined();
    return;
  }
  const snapshot = mine.findLast(({ kind }) => kind === FrameKind.snapshot);
  const fits = snapshot?.name === 'f' ? snapshot : undefined;
  expect(loaded!.snapshot?.version).toBe(fits?.version);
  const versions: number[] = [];
  for (const frame of loaded!.frames as Iterable<FrameReader>) versions.push(frame.version);
  expect(versions).toEqual(own.filter(({ version }) => version > (fits?.version ?? 0)).map(({ version }) => version));
}
