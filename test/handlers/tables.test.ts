// What handlers keep, over a store whose commits and readings end when the test says so.
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import type { Checkpointed } from '../../src/handler-state/commit-loop.ts';
import { StateTables } from '../../src/handler-state/handler-state.ts';
import type { Change, Entry } from '../../src/handler-state/handler-state-store.ts';

/** Commits wait to be let go, one after the other; readings, if told to. */
class SlowStore {
  readonly kept = new Map<string, string>();
  readonly commits: (() => void)[] = [];
  readonly readings: (() => void)[] = [];
  underWay = 0;
  mostUnderWay = 0;
  readonly handlerState: StateTables;

  constructor() {
    this.handlerState = new StateTables(async () => this, {
      checkpointDelayMs: 0,
      stagedChangesLimit: 1000,
      onError: (error) => {
        throw error;
      },
    });
  }

  async get(_: string, key: string): Promise<string | undefined> {
    const json = this.kept.get(key);
    await new Promise<void>((resolve) => this.readings.push(resolve));
    return json;
  }

  async range(_: string, { limit = 100 }: { limit?: number }): Promise<Entry[]> {
    const entries = [...this.kept].map(([key, json]) => ({ key, json }));
    await new Promise<void>((resolve) => this.readings.push(resolve));
    return entries.sort((a, b) => (a.key < b.key ? -1 : 1)).slice(0, limit);
  }

  async commit(changes: readonly Change[]): Promise<void> {
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
    await new Promise<void>((resolve) => this.commits.push(resolve));
    this.underWay--;
    for (const { key, json } of changes) json === undefined ? this.kept.delete(key) : this.kept.set(key, json);
  }

  async close(): Promise<void> {}

  /** Resolves when the next one has begun, with what lets it go. */
  async next(line: (() => void)[]): Promise<() => void> {
    return vi.waitUntil(() => line.shift());
  }

  /** Stage, and let the commit go. */
  async commitNow(key: string, value: unknown): Promise<void> {
    this.handlerState.stage('t', key, value);
    (await this.next(this.commits))();
    await this.handlerState.durable();
  }
}

async function opened(): Promise<SlowStore> {
  const store = new SlowStore();
  await store.handlerState.open();
  return store;
}

test('commits never overlap, also after a wait that began while the last one ran; what one carries is seen meanwhile', async () => {
  const store = await opened();
  const { handlerState } = store;
  handlerState.stage('t', 'a', 1);
  const first = await store.next(store.commits);
  const kept = handlerState.durable(); // nothing is staged: it waits for the commit under way only
  first();
  await kept;
  const checkpoint: Checkpointed = { stageCheckpoint: () => handlerState.stage('t', 'checkpoint', 'moved') };
  handlerState.touch(checkpoint);
  const second = await store.next(store.commits);
  handlerState.stage('t', 'b', 2);
  await pause(20); // time enough for a second commit, if one could begin now
  expect(handlerState.get('t', 'checkpoint')).toBe('moved');
  expect(handlerState.get('t', 'b')).toBe(2);
  second();
  (await store.next(store.commits))();
  await handlerState.durable();
  expect(store.mostUnderWay).toBe(1);
  expect(Object.fromEntries(store.kept)).toEqual({ a: '1', b: '2', checkpoint: '"moved"' });
});

test('a reading that outlasts several commits brings nothing back that they took away, and misses nothing they brought', async () => {
  const store = await opened();
  const { handlerState } = store;
  for (const key of ['a', 'b', 'c']) await store.commitNow(key, 1);
  handlerState.stage('t', 'd', 1);
  const commit = await store.next(store.commits);
  const all = handlerState.range('t');
  const one = handlerState.get('t', 'a');
  const [endRange, endGet] = [await store.next(store.readings), await store.next(store.readings)];
  commit();
  await handlerState.durable();
  await store.commitNow('d', undefined);
  await store.commitNow('a', undefined);
  await store.commitNow('e', 2);
  await store.commitNow('f', 3);
  endRange();
  endGet();
  const asItIs = ['b', 'c', 'e', 'f'];
  expect((await all).map(({ key }) => key)).toEqual(asItIs);
  expect(await one).toBeUndefined();
});

test('a limited reading is not cut short by what was removed while it ran', async () => {
  const store = await opened();
  const { handlerState } = store;
  for (const key of ['a', 'b', 'c']) await store.commitNow(key, 1);
  const first = handlerState.range('t', { limit: 1 });
  const endOne = await store.next(store.readings);
  await store.commitNow('a', undefined);
  endOne();
  (await store.next(store.readings))();
  expect((await first).map(({ key }) => key)).toEqual(['b']);
});

test('what the store knows already waits for more of its kind: several delays, and no longer than for anything else', async () => {
  const store = await opened();
  const { handlerState } = store;
  const known = (key: string): void => handlerState.known(() => handlerState.stage('t', key, 1));
  for (const key of ['a', 'b', 'c']) {
    known(key);
    await pause(1); // timers of one length end in their order: a delay of the loop's has ended, too
  }
  expect(store.commits).toHaveLength(0);
  handlerState.stage('t', 'd', 1);
  known('e');
  await pause(1);
  await pause(1);
  expect(store.commits).toHaveLength(1);
  store.commits.shift()!();
  await handlerState.durable();
  expect([...store.kept.keys()]).toEqual(['a', 'b', 'c', 'd', 'e']);
  known('f');
  (await store.next(store.commits))(); // also if nothing else comes
  await handlerState.durable();
  known('g');
  const kept = handlerState.durable(); // at once if it is waited for
  await pause(1);
  expect(store.commits).toHaveLength(1);
  store.commits.shift()!();
  await kept;
});

test('what cannot be staged is reported, and keeps nothing else from being kept', async () => {
  const errors: string[] = [];
  const refused: string[] = [];
  const kept = new Map<string, string | undefined>();
  const store = {
    get: (_: string, key: string) => kept.get(key),
    range: () => [],
    async commit(changes: readonly Change[]): Promise<void> {
      for (const { key, json } of changes) kept.set(key, json);
    },
    async close(): Promise<void> {},
  };
  const handlerState = new StateTables(async () => store, {
    checkpointDelayMs: 0,
    stagedChangesLimit: 1000,
    onError: (error) => errors.push(error.message),
    onRefused: ({ key }, { name }) => refused.push(`${key}: ${name}`),
  });
  await handlerState.open();
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  for (const [key, value] of Object.entries({ first: 1, exact: 1n, cycle, last: { n: 2 } })) {
    handlerState.stage('t', key, value);
    if (key === 'last') (value as { n: number }).n = 3; // later than staged
  }
  const failing: Checkpointed = {
    stageCheckpoint() {
      throw new Error('no checkpoint');
    },
  };
  handlerState.touch(failing);
  handlerState.touch({ stageCheckpoint: () => handlerState.stage('t', 'moved', true) });
  await handlerState.durable();
  expect(Object.fromEntries(kept)).toEqual({ first: '1', last: '{"n":2}', moved: 'true' });
  expect([errors, refused]).toEqual([['no checkpoint'], ['exact: TypeError', 'cycle: TypeError']]);
  await handlerState.close();
});
