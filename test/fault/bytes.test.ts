import { expect, test } from 'vitest';
import { bytes } from './bytes.ts';
import { runFamily } from './family.ts';

test('a flipped bit or a cut anywhere in the log: detected or harmless', async () => {
  const run = await runFamily(bytes, 5, { stride: 9973, random: 10, largeChunks: 120 });
  expect(run.differences).toEqual([]);
  expect(run.faults).toBeGreaterThan(700);
}, 240_000);
