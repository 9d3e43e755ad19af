// What a program prints while it looks at things: one line each, none of the insides.
import { inspect } from 'node:util';
import { defineProjection, Runtime } from 'trunkline';
import { expect, test } from 'vitest';
import { Counter } from '../fixtures/counter.ts';
import { startRuntime } from './scratch.ts';

test('runtime, subscription, projection and the rest print in one line', async () => {
  const runtime = await startRuntime({ aggregates: [Counter], shards: 1 });
  expect(runtime).toBeInstanceOf(Runtime);
  const subscription = runtime.subscribe({ name: 'audit', handle() {} });
  const rows = runtime.project(defineProjection({ name: 'rows', init: () => 0, apply: (row) => row + 1 }));
  const receipt = await runtime.ref(Counter, 'a').add(1);
  await subscription.caughtUpTo(receipt);
  await rows.caughtUpTo(receipt);
  expect(inspect(subscription)).toMatch(/^Subscription audit: [a-z ]+ at \d+, \d+ behind, 0 dead letters$/);
  expect(inspect(rows)).toMatch(/^Projection rows: [a-z ]+ at \d+, \d+ behind, 0 dead letters$/);
  expect(inspect(runtime)).toMatch(/^Runtime open: written \d+, stored \d+$/);
  const parts = [
    runtime,
    subscription,
    rows,
    runtime.bus,
    runtime.store,
    runtime.publisher,
    runtime.deadLetters,
    runtime.unitOfWork(),
  ];
  for (const part of parts) {
    const printed = inspect(part, { depth: 9 });
    expect([printed, printed.includes('\n'), printed.length < 200]).toEqual([printed, false, true]);
    expect(JSON.stringify(part)).toBe(JSON.stringify(printed));
  }
  await runtime.close();
  for (const part of parts) expect(inspect(part)).not.toContain('\n');
});

test('what an id holds moves no cursor where its ref is printed', async () => {
  const runtime = await startRuntime({ aggregates: [Counter], shards: 1 });
  const id = 'x\u001b[2J\u009b31m\u202e\r';
  const ref = runtime.ref(Counter, id);
  expect(inspect(ref)).toBe('Ref counter/x\\u001b[2J\\u009b31m\\u202e\\r');
  expect(String(ref)).toBe(`counter/${id}`);
});
