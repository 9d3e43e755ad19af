import { expect, test } from 'vitest';
import { bounds } from './bounds.ts';
import { runFamily } from './family.ts';

test('nothing grows, whatever it is filled with', async () => {
  const run = await runFamily(bounds, 1);
  expect(run.differences).toEqual([]);
  expect(run.faults).toBeGreaterThanOrEqual(60);
}, 180_000);
