import { expect, test } from 'vitest';
import { runFamily } from './family.ts';
import { powerLoss } from './power-loss.ts';

test('nothing synced is lost by power loss, nor by a second one; the controls lose', async () => {
  // Each image is of a seed of its own; `npm run fault -- power-loss` makes more.
  const run = await runFamily(powerLoss, 1, { images: 20, controls: 6 });
  expect(run.differences).toEqual([]);
  expect(run.faults).toBe(41);
}, 240_000);
