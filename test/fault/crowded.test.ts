import { expect, test } from 'vitest';
import { crowded } from './crowded.ts';
import { runFamily } from './family.ts';

test('messages that come to more than the log holds are carried out once each, in order, whatever is killed', async () => {
  const run = await runFamily(crowded, 1);
  expect(run.differences).toEqual([]);
  expect(run.faults).toBeGreaterThan(0);
  expect(run.findings.acknowledged).toBeGreaterThan(20);
}, 240_000);
