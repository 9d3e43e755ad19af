import { expect, test } from 'vitest';
import { runFamily } from './family.ts';
import { kills } from './kills.ts';

test('nothing acknowledged or heard is lost by kill -9, at random instants and at named points', async () => {
  const run = await runFamily(kills, 1, { kills: 8, commands: 150 });
  expect(run.differences).toEqual([]);
  expect(run.faults).toBe(8);
  expect(run.findings.acknowledged).toBeGreaterThan(200);
}, 240_000);
