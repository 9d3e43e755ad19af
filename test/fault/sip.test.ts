import { expect, test } from 'vitest';
import { runFamily } from './family.ts';
import { sip } from './sip.ts';

test('strangers on a SIP router end no call, move no money and fill no table', async () => {
  const run = await runFamily(sip, 1);
  expect(run.differences).toEqual([]);
  expect(run.faults).toBeGreaterThan(2_500);
}, 180_000);
