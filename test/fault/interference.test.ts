import { expect, test } from 'vitest';
import { runFamily } from './family.ts';
import { interference } from './interference.ts';

test('everything that touches one database at once: no event is lost, doubled or quarantined', async () => {
  const run = await runFamily(interference, 1);
  expect(run.differences).toEqual([]);
  expect(run.faults).toBe(6);
}, 180_000);
