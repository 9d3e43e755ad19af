import { expect, test } from 'vitest';
import { runFamily } from './family.ts';
import { model } from './model.ts';

test('a runtime answers as a plain model does, whatever restarts, crashes and kills come between', async () => {
  const run = await runFamily(model, 1, { commands: 300, length: 300 });
  expect(run.differences).toEqual([]);
  expect(run.findings.acknowledged).toBeGreaterThan(300);
}, 240_000);
