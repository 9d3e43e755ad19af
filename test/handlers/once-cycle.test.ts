// An effect that waits for itself would wait for ever, and hold close(): it is refused, also where two wait for each other.
import { expect, test } from 'vitest';
import { errorOf, startRuntime } from '../runtime/scratch.ts';

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
  const runtime = await startRuntime();
  const begun = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const effect = (mine: number, other: string) => async () => {
    begun[mine]!.resolve();
    await begun[1 - mine]!.promise;
    return runtime.once(other, () => 1);
  };
  const both = await Promise.allSettled([runtime.once('a', effect(0, 'b')), runtime.once('b', effect(1, 'a'))]);
  expect(both.map((one) => one.status === 'rejected' && one.reason.code)).toEqual(['OnceCycle', 'OnceCycle']);
});
