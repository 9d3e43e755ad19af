import { expect, test } from 'vitest';
import { bytes } from './bytes.ts';
import { runFamily } from './family.ts';

test('a flipped bit or a cut anywhere in the log: detected or harmless', async () => {
  // A page has 32,768 bits: each of them is struck.
  const run = await runFamily(bytes, 5, { stride: 29_989, random: 10, largeChunks: 120 });
  expect(run.differences).toEqual([]);
  expect(run.faults).toBeGreaterThan(700);
}, 240_000);
