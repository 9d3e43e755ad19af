import { setImmediate } from 'node:timers/promises';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { EmbeddedStore } from '../../src/adapters/lmdb/store/embedded.ts';
import { EmbeddedSink } from '../../src/adapters/lmdb/store/sink.ts';
import { Flusher } from '../../src/flush/flusher.ts';
import { History } from '../../src/store/history.ts';
import type { EventQuery } from '../../src/store/store.ts';
import { FrameKind } from '../../src/wire/frame.ts';
import { TestControlBlock } from '../control-block.ts';
import { batchOf, collect, type Group, MemoryLog, temporaryFolder } from './sample.ts';

let log: MemoryLog;
let control: TestControlBlock;
let sink: EmbeddedSink;
let store: EmbeddedStore;
let history: History;

beforeEach(async () => {
  const folder = temporaryFolder(onTestFinished);
  sink = new EmbeddedSink(folder, 'log-1', { indexEvery: 3 });
  await sink.open();
  store = EmbeddedStore.open(folder);
  log = new MemoryLog();
  control = new TestControlBlock();
  history = new History(store, log, control);
  onTestFinished(async () => {
    await history.close();
    await store.close();
    await sink.close();
  });
});

function append(...groups: Group[]): void {
  control.publish('written', log.append(...groups));
  control.publish('synced', log.last);
}

/** Bring the store up to `position`, then take from the log what it may give up. */
async function flush(position: number, truncate = true): Promise<void> {
  const flusher = new Flusher({
    name: 'store',
    sink: { open: () => store.checkpoint(), write: (batch) => sink.write(batch), close() {} },
    log,
    limit: () => position,
  });
  flusher.stop();
  await flusher.run();
  expect(store.checkpoint()).toBe(position);
  if (truncate) log.truncateBelow(position + 1);
}

const positions = async (query?: EventQuery): Promise<number[]> =>
  (await collect(history.events(query))).map(({ position }) => position);
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** 60 positions: events of two aggregates, and a message on every sixth. */
function fill(from = 1, to = 60): void {
  for (let p = from; p <= to; p++) {
    if (p % 6 === 0) append([{ kind: FrameKind.message, version: 1, name: 'm' }]);
    else append([{ id: p % 2 ? 'odd' : 'even', version: versionAt(p), name: p % 3 ? 'Some' : 'Third', at: 1000 - p }]);
  }
}
const versionAt = (p: number): number => range(1, p).filter((q) => q % 6 !== 0 && q % 2 === p % 2).length;
const events = (from: number, to: number): number[] => range(from, to).filter((p) => p % 6 !== 0);

describe('events', () => {
  test.each([0, 1, 29, 30, 31, 59, 60])('are one sequence when the store has come to %i', async (stored) => {
    fill();
    await flush(stored);
    for (const pageSize of [1, 7, 1000]) expect(await positions({ pageSize })).toEqual(events(1, 60));
  });

  test('from and to, on either side of the seam', async () => {
    fill();
    await flush(30);
    expect(await positions({ from: 0 })).toEqual(events(1, 60));
    expect(await positions({ from: 10, to: 20 })).toEqual(events(10, 20));
    expect(await positions({ from: 25, to: 35 })).toEqual(events(25, 35));
    expect(await positions({ from: 31 })).toEqual(events(31, 60));
    expect(await positions({ from: 45, to: 100 })).toEqual(events(45, 60));
    expect(await positions({ from: 61 })).toEqual([]);
    expect(await positions({ from: 20, to: 10 })).toEqual([]);
  });

  test('of an aggregate, of types, of a time', async () => {
    fill();
    append([{ aggregate: 'other', id: 'odd', version: 1 }]);
    await flush(30);
    const odd = events(1, 60).filter((p) => p % 2 === 1);
    const third = events(1, 60).filter((p) => p % 3 === 0);
    expect(await positions({ aggregate: 'call', aggregateId: 'odd', pageSize: 4 })).toEqual(odd);
    expect(await positions({ aggregateId: 'odd' })).toEqual([...odd, 61]);
    expect(await positions({ aggregate: 'other' })).toEqual([61]);
    expect(await positions({ aggregate: 'call', aggregateId: 'nobody' })).toEqual([]);
    expect(await positions({ type: 'Third', pageSize: 3 })).toEqual(third);
    expect(await positions({ types: ['Third', 'Some', 'None'], to: 60 })).toEqual(events(1, 60));
    await expect(positions({ types: [] })).rejects.toThrow('would select nothing');
    expect(await positions({ since: new Date(970), until: new Date(990), to: 60 })).toEqual(events(11, 30));
    expect(await positions({ type: 'Third', aggregate: 'call', aggregateId: 'odd', from: 9 })).toEqual(
      third.filter((p) => p % 2 === 1 && p >= 9),
    );
  });

  test('end where the log ended when they were asked for', async () => {
    fill(1, 10);
    const asked = history.events({ pageSize: 2 });
    fill(11, 20);
    expect((await collect(asked)).map(({ position }) => position)).toEqual(events(1, 10));
  });

  test.each(
    [1, 3, 8].flatMap((pageSize) => [
      { pageSize },
      { pageSize, aggregate: 'call', aggregateId: 'even' },
      { pageSize, type: 'Some' },
      { pageSize, since: new Date(0) },
    ]),
  )('miss nothing and repeat nothing while the store grows and the log is truncated: %o', async (query) => {
    fill();
    let moved = 0;
    const seen: number[] = [];
    for await (const { position } of history.events(query)) {
      seen.push(position);
      // The store jumps ahead of the reader, and lags behind, by turns.
      const to = Math.min(60, position + (seen.length % 3) * 4 - 2);
      if (to <= store.checkpoint()) continue;
      await flush(to);
      moved++;
    }
    const wanted = events(1, 60).filter((p) => !('aggregateId' in query) || p % 2 === 0);
    expect(seen).toEqual(wanted.filter((p) => !('type' in query) || p % 3 !== 0));
    expect(moved).toBeGreaterThan(4);
  });

  test('what the log gives up between the two looks is found in the store', async () => {
    fill();
    await flush(30);
    const read = log.read.bind(log);
    const sneak = { done: false };
    log.read = (from) => {
      if (!sneak.done && from === 31) {
        // Just before the log is looked at, and after the store was: the flusher passes, the log is truncated.
        sneak.done = true;
        const { toPosition, batch } = everything(read, 31, 50);
        sink.write(batch);
        log.truncateBelow(toPosition + 1);
      }
      return read(from);
    };
    expect(await positions()).toEqual(events(1, 60));
    expect(sneak.done).toBe(true);
  });

  test('a position that nobody keeps is an error that names the first one kept', async () => {
    fill();
    log.truncateBelow(41); // and the store is empty
    await expect(positions({ from: 5 })).rejects.toMatchObject({
      code: 'PositionGone',
      details: { position: 5, firstKept: 41 },
    });
    expect(await positions({ from: 41 })).toEqual(events(41, 60));
  });
});

describe('an iteration', () => {
  test('ends with the reason of its signal, before, between and while it waits', async () => {
    fill();
    const reason = new Error('enough');
    await expect(positions({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await flush(60); // so that a page holds many
    const controller = new AbortController();
    const seen: number[] = [];
    const run = (async () => {
      for await (const { position } of history.events({ signal: controller.signal })) {
        seen.push(position);
        if (position === 5) controller.abort(reason);
      }
    })();
    await expect(run).rejects.toBe(reason);
    expect(seen).toEqual(events(1, 5));
    const later = new AbortController();
    const waiting = history.events({ from: 61, follow: true, signal: later.signal }).next();
    await setImmediate();
    later.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });

  test('lets others have their turn between pages', async () => {
    fill();
    let turns = 0;
    let isDone = false;
    const others = (async () => {
      for (; !isDone; turns++) await setImmediate();
    })();
    await positions({ pageSize: 1 });
    isDone = true;
    await others;
    expect(turns).toBeGreaterThanOrEqual(50);
  });

  test('that follows goes on with what is written later, over the seam, until the history closes', async () => {
    fill(1, 5);
    const seen: number[] = [];
    const run = (async () => {
      for await (const { position } of history.events({ follow: true, pageSize: 2 })) seen.push(position);
    })();
    for (const to of [20, 40, 60]) {
      fill(control.position('written') + 1, to);
      if (to === 40) await flush(30);
      history.wake();
      while (seen.at(-1) !== events(1, to).at(-1)) await setImmediate();
    }
    await history.close();
    await run;
    expect(seen).toEqual(events(1, 60));
  });

  test('that is given up while it waits ends at once, and waits for nothing more; with a filter that nothing passes, too', async () => {
    fill(1, 5);
    for (const query of [{ from: 6 }, { type: 'Never' }]) {
      const asked = history.events({ ...query, follow: true });
      const pending = asked.next();
      await setImmediate();
      expect(await asked.return!()).toMatchObject({ done: true });
      expect(await pending).toMatchObject({ done: true });
    }
    const { waiting } = history as unknown as { waiting: ReadonlySet<unknown> };
    for (let turns = 0; waiting.size > 0 && turns < 1_000; turns++) await setImmediate();
    expect(waiting.size).toBe(0);
  });

  test('that does not follow fails when the history closes', async () => {
    fill();
    const asked = history.events({ pageSize: 1 });
    await asked.next();
    await history.close();
    await expect(collect(asked)).rejects.toMatchObject({ code: 'RuntimeClosed' });
  });

  test.each([
    { from: -1 },
    { from: 1.5 },
    { to: Number.NaN },
    { pageSize: 0 },
    { since: new Date('never') },
    { until: 'tomorrow' as unknown as Date },
  ])('with %o is refused at once', (query) => {
    expect(() => history.events(query)).toThrow(expect.objectContaining({ code: 'InvalidOptions' }));
  });
});

function everything(read: MemoryLog['read'], from: number, to: number) {
  const groups: Group[] = [];
  for (let p = from; p <= to; p++) {
    if (p % 6 === 0) groups.push([{ kind: FrameKind.message, version: 1, name: 'm' }]);
    else
      groups.push([
        { id: p % 2 ? 'odd' : 'even', version: versionAt(p), name: p % 3 ? 'Some' : 'Third', at: 1000 - p },
      ]);
  }
  expect(read(to)).toBeDefined();
  const batch = batchOf(from, groups);
  return { toPosition: batch.toPosition, batch };
}
