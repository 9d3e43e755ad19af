// An effect that waits for itself would wait for ever, and hold close(): it is refused, also where two wait for each other.
import { mkdirSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { LmdbTables } from '../../src/adapters/lmdb/handlers/tables.ts';
import { StateTables } from '../../src/handler-state/handler-state.ts';
import { Inbox } from '../../src/handler-state/once.ts';
import { errorOf, scratchFolder, startSmall as startRuntime } from '../runtime/scratch.ts';

/** What `runtime.once` is made of, without a runtime. */
function inbox(): Inbox {
  const folder = scratchFolder();
  mkdirSync(folder, { recursive: true });
  const settings = { checkpointDelayMs: 0, stagedChangesLimit: 1000, onError() {} };
  const handlerState = new StateTables(() => LmdbTables.open(folder), settings);
  onTestFinished(() => handlerState.close());
  return new Inbox(handlerState, 60_000, () => 0);
}

test('an effect within itself, at any depth, is refused; others go on', async () => {
  const runtime = await startRuntime();
  const { once } = { once: (key: string, inner: () => Promise<unknown>) => runtime.once(key, inner) };
  const one = async () => 1;
  const details = { key: 'k', within: 'k' };
  expect(await errorOf(once('k', () => once('k', one)))).toMatchObject({ code: 'OnceCycle', details });
  const deep = once('k', () => once('l', () => once('m', () => once('k', one))));
  expect(await errorOf(deep)).toMatchObject({ code: 'OnceCycle', details: { key: 'k', within: 'm' } });
  expect(await once('k', () => once('l', () => once('m', one)))).toBe(1);
});

test('of two that wait for each other one is refused, and both end', async () => {
  const box = inbox();
  const begun = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const effect = (mine: number, other: string) => async () => {
    begun[mine]!.resolve();
    await begun[1 - mine]!.promise;
    return box.once(other, () => 1);
  };
  const both = await Promise.allSettled([box.once('a', effect(0, 'b')), box.once('b', effect(1, 'a'))]);
  expect(both.map((one) => one.status === 'rejected' && one.reason.code)).toEqual(['OnceCycle', 'OnceCycle']);
});

// 'inner' is begun within 'a', and so 'a' ends behind it. Whichever of the two waits is asked for first.
test.each(['the inner one waits first', 'the outer one is waited for first'])(
  'an effect that waits, within another, for one that waits for the outer: %s',
  async (order) => {
    const box = inbox();
    const [aBegun, bBegun, firstWaits] = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
    const isInnerFirst = order === 'the inner one waits first';
    /** Asks for the other one: it waits as soon as this returns. */
    const ask = async (key: string, isFirst: boolean): Promise<unknown> => {
      if (!isFirst) await firstWaits!.promise;
      const asked = box.once(key, () => 1);
      if (isFirst) firstWaits!.resolve();
      return asked;
    };
    const inner = async (): Promise<unknown> => {
      aBegun!.resolve();
      await bBegun!.promise;
      return ask('b', isInnerFirst);
    };
    const a = box.once('a', () => box.once('inner', inner));
    const b = box.once('b', async () => {
      bBegun!.resolve();
      await aBegun!.promise;
      return ask('a', !isInnerFirst);
    });
    const ends = await Promise.allSettled([a, b]);
    expect(ends.some((one) => one.status === 'rejected' && one.reason.code === 'OnceCycle')).toBe(true);
    expect(await Promise.all(['a', 'inner', 'b'].map((key) => box.once(key, () => 2)))).toBeDefined();
  },
);

test('an effect that waits within another for one that is begun there ends with it; nobody waits for itself', async () => {
  const box = inbox();
  const begun = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const a = box.once('a', async () => {
    const inner = box.once('inner', async () => {
      begun.resolve();
      await goOn.promise;
      return 1;
    });
    const again = box.once('beside', () => box.once('inner', () => 2)); // joins it, in another's name
    return Promise.all([inner, again]);
  });
  await begun.promise;
  const b = box.once('b', () => box.once('inner', () => 3));
  goOn.resolve();
  expect([await a, await b]).toEqual([[1, 1], 1]);
});
