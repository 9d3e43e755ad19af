import { expect, test } from 'vitest';
import { runFamily } from './family.ts';
import { overload } from './overload.ts';

test.skipIf(overload.missing?.() !== undefined)(
  'ten times too much is refused by name, held in bounds, and forgotten when it is over',
  async () => {
    const run = await runFamily(overload, 1, { seconds: 2, judgeLatency: 0 });
    expect(run.differences).toEqual([]);
    expect(run.faults).toBeGreaterThan(100);
  },
  240_000,
);
