import { expect, test } from 'vitest';
import { runFamily } from './family.ts';
import { network } from './network.ts';

test('ways to the servers that fail, and servers that do: nothing is lost, nobody waits for ever', async () => {
  const run = await runFamily(network, 1);
  expect(run.differences).toEqual([]);
  expect(run.faults).toBe(27);
}, 300_000);
