import { expect, test } from 'vitest';
import { runFamily } from './family.ts';
import { misuse } from './misuse.ts';

test('hostile values get typed errors at every door, and nothing else is lost', async () => {
  const run = await runFamily(misuse, 1, { calls: 200 });
  expect(run.differences).toEqual([]);
  expect(run.faults).toBeGreaterThan(200);
}, 180_000);
