import { expect, test } from 'vitest';
import { runFamily } from './family.ts';
import { security } from './security.ts';

test('what attackers write is carried or refused by name, and secrets stay secret', async () => {
  const run = await runFamily(security, 1);
  expect(run.differences).toEqual([]);
  expect(run.faults).toBeGreaterThan(90);
}, 180_000);
