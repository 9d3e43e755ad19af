import { expect, test } from 'vitest';
import { cycles } from './cycles.ts';
import { runFamily } from './family.ts';
import { threads } from './threads.ts';

test('threads that throw, reject, exit, run out of heap or block: nobody waits for ever, nothing is lost', async () => {
  const run = await runFamily(threads, 1, { commands: 100 });
  expect(run.differences).toEqual([]);
  expect(run.faults).toBe(10);
}, 600_000);

test.skipIf(cycles.missing?.() !== undefined)(
  'starts and closes leave nothing behind',
  async () => {
    const run = await runFamily(cycles, 1);
    expect(run.differences).toEqual([]);
    expect(run.faults).toBe(10);
  },
  240_000,
);
