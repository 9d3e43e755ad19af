import { expect, test } from 'vitest';
import { clocks } from './clocks.ts';
import { runFamily } from './family.ts';

test('a wall clock that leaps ends no wait early, and makes nothing happen twice or not at all', async () => {
  const run = await runFamily(clocks, 1);
  expect(run.differences).toEqual([]);
  expect(run.faults).toBeGreaterThan(100);
}, 600_000);
