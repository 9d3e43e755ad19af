import { expect, test } from 'vitest';
import { runFamily } from './family.ts';
import { wrap } from './wrap.ts';

test('a runtime whose rings begin just before a wrap of their counts does as any other', async () => {
  const run = await runFamily(wrap, 1);
  expect(run.differences).toEqual([]);
  expect(run.faults).toBeGreaterThan(0);
}, 600_000);
