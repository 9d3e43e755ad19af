import { expect, test } from 'vitest';
import { bytes } from './bytes.ts';
import { runFamily } from './family.ts';

test('a flipped bit or a cut anywhere in the log: detected or harmless', async () => {
  const run = await runFamily(bytes, 5, { stride: 4999, random: 20, largeChunks: 120 });
  expect(run.differences).toEqual([]);
  expect(run.faults).toBeGreaterThan(1_500);
}, 240_000);
