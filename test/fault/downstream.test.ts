import { expect, test } from 'vitest';
import { downstream } from './downstream.ts';
import { runFamily } from './family.ts';

test('killed at any point of PostgreSQL, Kafka and handlers: each has every event once, in order', async () => {
  const run = await runFamily(downstream, 1);
  expect(run.differences).toEqual([]);
  expect(run.faults).toBe(10);
}, 240_000);
