import { expect, test } from 'vitest';
import { runFamily } from './family.ts';
import { kills } from './kills.ts';

test('nothing acknowledged or heard is lost by kill -9, at random instants and at named points', async () => {
  // A few of the named points; `npm run fault -- kills` comes to all of them.
  const run = await runFamily(kills, 1, { kills: 4, commands: 150 });
  expect(run.differences).toEqual([]);
  expect(run.faults).toBe(4);
  expect(run.findings.acknowledged).toBeGreaterThan(100);
}, 240_000);
