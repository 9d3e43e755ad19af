import { expect, test } from 'vitest';
import { disk } from './disk.ts';
import { runFamily } from './family.ts';

test.skipIf(disk.missing?.() !== undefined)(
  'failing writes, syncs and opens: typed errors, nothing acknowledged that is lost (needs strace)',
  async () => {
    // The log's files and the store's; those behind them fail in `npm run fault -- disk`. By this seed none of the calls is only
    // interrupted, and a sync of the log fails once: what went on after it would be told here.
    const run = await runFamily(disk, 817, { runs: 6, commands: 120 });
    expect(run.differences).toEqual([]);
    expect(run.faults).toBeGreaterThan(3);
  },
  300_000,
);
