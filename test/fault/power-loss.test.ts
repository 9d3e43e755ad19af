import { expect, test } from 'vitest';
import { runFamily } from './family.ts';
import { powerLoss } from './power-loss.ts';

test('nothing synced is lost by power loss, nor by a second one; the controls lose', async () => {
  const run = await runFamily(powerLoss, 1, { controls: 10 });
  expect(run.differences).toEqual([]);
  expect(run.faults).toBe(81);
}, 240_000);
