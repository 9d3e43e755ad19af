import { expect, test } from 'vitest';
import { bytes } from './bytes.ts';
import { runFamily } from './family.ts';

test('a flipped bit or a cut anywhere in the log: detected or harmless', async () => {
  const run = await runFamily(bytes, 5);
  expect(run.differences).toEqual([]);
  expect(run.faults).toBeGreaterThan(300);
}, 240_000);
