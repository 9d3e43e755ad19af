// The date of the machine is corrected while commands wait: no deadline and no key takes that for time that has passed.
import '../leap.ts';

import { expect, onTestFinished, test } from 'vitest';
import { leapTo } from '../leap.ts';
import { Counter } from './aggregates.ts';
import { startRuntime } from './scratch.ts';

const twoDays = 2 * 86_400_000;

/** Only this thread sees it: shards go by the machine's date, so the two differ as before and after a correction. */
function leap(byMs: number): void {
  leapTo(byMs);
  onTestFinished(() => leapTo(0));
}

test.each([-twoDays, twoDays])('a deadline is a duration: the date leaps by %i ms', async (byMs) => {
  const runtime = await startRuntime();
  leap(byMs);
  const counter = runtime.ref(Counter, 'a').with({ deadlineMs: 60_000 });
  expect((await counter.add(1)).value).toBe(1);
  // The question and its answer are timed in two threads.
  expect((await runtime.ref(Counter, 'b').askSlowly('a', 1, 60_000)).value).toEqual({ before: 1, after: 2 });
});

test('a key is remembered from the end of its command on, however long that took', async () => {
  const runtime = await startRuntime({ idempotencyTtlMs: 1_500 });
  const once = runtime.ref(Counter, 'a').with({ idempotencyKey: 'k' });
  await once.addSlowly(1, 800);
  expect(await once.addSlowly(1, 800)).toMatchObject({ version: 1, value: { before: 0, after: 1 } });
});
