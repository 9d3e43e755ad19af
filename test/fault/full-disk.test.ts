import { expect, test } from 'vitest';
import { runFamily } from './family.ts';
import { fullDisk } from './full-disk.ts';

test('a disk that others fill to its last byte: the process lives, nothing acknowledged is lost (needs root)', async () => {
  const run = await runFamily(fullDisk, 5, { rounds: 1, commands: 100 });
  expect(run.differences).toEqual([]);
  expect(run.faults).toBe(2);
}, 300_000);
