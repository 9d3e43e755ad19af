import { expect, test } from 'vitest';
import { Counter } from './aggregates.ts';
import { errorOf, scratchFolder, startRuntime } from './scratch.ts';

test('the same key returns the first outcome and raises nothing', async () => {
  const runtime = await startRuntime();
  const counter = runtime.ref(Counter, 'a');
  const once = counter.with({ idempotencyKey: 'k1' });
  const first = await once.add(5);
  const again = await once.add(7);
  expect(again).toMatchObject({ value: 5, version: 1, position: first.position });
  expect(again.events).toEqual(first.events);
  expect(await counter.total()).toMatchObject({ value: 5, version: 1 });
  // Keys belong to an aggregate.
  expect((await runtime.ref(Counter, 'b').with({ idempotencyKey: 'k1' }).add(7)).value).toBe(7);
});

test('a repetition while the first is in flight joins it', async () => {
  const runtime = await startRuntime();
  const once = runtime.ref(Counter, 'a').with({ idempotencyKey: 'k1' });
  const outcomes = await Promise.all([once.addSlowly(5, 20), once.addSlowly(5, 20), once.addSlowly(5, 20)]);
  expect(outcomes.map(({ value }) => value)).toEqual(Array(3).fill({ before: 0, after: 5 }));
  expect((await runtime.ref(Counter, 'a').total()).version).toBe(1);
});

test('a rejection is an outcome, a failure is not', async () => {
  const runtime = await startRuntime();
  const counter = runtime.ref(Counter, 'a');
  const once = counter.with({ idempotencyKey: 'k1' });
  expect(await errorOf(once.addThenReject(5))).toMatchObject({ code: 'too-much', details: { amount: 5, total: 5 } });
  await counter.add(100);
  expect(await errorOf(once.addThenReject(6))).toMatchObject({ code: 'too-much', details: { amount: 5, total: 5 } });
  const failing = counter.with({ idempotencyKey: 'k2' });
  expect((await errorOf(failing.addThenThrow())).code).toBe('CommandFailed');
  expect((await failing.add(1)).value).toBe(101);
});

test.each([
  { how: 'from the log', flush: { syncIntervalMs: 60_000 } },
  { how: 'from the store', flush: 'durable' as const },
])('an outcome survives a restart, $how', async ({ flush }) => {
  const dataDir = scratchFolder();
  const before = await startRuntime({ dataDir, flush });
  const first = await before.ref(Counter, 'a').with({ idempotencyKey: 'k1' }).addMany(3);
  await errorOf(before.ref(Counter, 'b').with({ idempotencyKey: 'k1' }).addThenReject(3));
  await before.close();
  const after = await startRuntime({ dataDir });
  const again = await after.ref(Counter, 'a').with({ idempotencyKey: 'k1' }).addMany(3);
  expect(again).toMatchObject({ value: 3, version: 3, position: first.position });
  expect(again.events).toEqual(first.events);
  const rejected = await errorOf(after.ref(Counter, 'b').with({ idempotencyKey: 'k1' }).addThenReject(3));
  expect(rejected.code).toBe('too-much');
  expect((await after.ref(Counter, 'a').total()).version).toBe(3);
});

test('a key is forgotten when its time is over', async () => {
  const runtime = await startRuntime({ idempotencyTtlMs: 1 });
  const once = runtime.ref(Counter, 'a').with({ idempotencyKey: 'k1' });
  const first = await once.add(5);
  const written = first.events[0]!.occurredAt.getTime();
  while (Date.now() <= written + 1);
  expect((await once.add(5)).value).toBe(10);
});
