import { expect, test } from 'vitest';
import { runFamily } from './family.ts';
import { ring } from './ring.ts';

test('every group comes out whole, once and in order, over the wrap of the counters, and whoever died before', async () => {
  const run = await runFamily(ring, 1);
  expect(run.differences).toEqual([]);
  expect(run.faults).toBe(6);
}, 180_000);
