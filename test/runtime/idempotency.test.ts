import { expect, test } from 'vitest';
import { boundKey } from '../../src/model/principal-key.ts';
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
  // Without events, and before it is in the log: 0, as for any answer.
  const empty = counter.with({ idempotencyKey: 'empty', ack: 'raised' });
  await (await empty.total()).reached('written');
  expect((await empty.total()).position).toBe(0);
  // Keys belong to an aggregate.
  expect((await runtime.ref(Counter, 'b').with({ idempotencyKey: 'k1' }).add(7)).value).toBe(7);
});

test('a key with a principal is known to that principal alone', async () => {
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir });
  const counter = runtime.ref(Counter, 'a');
  const keyed = counter.with({ idempotencyKey: 'k1' });
  const alice = counter.with({ principal: 'alice' }).with({ idempotencyKey: 'k1' });
  const first = await alice.add(5);
  // Whoever guesses the key, under another name, under none, or with the parts cut elsewhere, is somebody else.
  expect((await keyed.with({ principal: 'bob' }).add(1)).value).toBe(6);
  expect((await keyed.add(1)).value).toBe(7);
  expect((await counter.with({ principal: 'alicek', idempotencyKey: '1' }).add(1)).value).toBe(8);
  expect((await counter.with({ principal: 'alice' }).add(1)).value).toBe(9); // without a key it says nothing
  // A principal that is undefined further on takes nothing back.
  expect(await alice.with({ principal: undefined, ack: 'synced' }).add(9)).toMatchObject({ value: 5, version: 1 });
  const slow = counter.with({ principal: 'carol', idempotencyKey: 'slow' });
  const inFlight = [slow.addSlowly(1, 20), slow.addSlowly(1, 20), slow.with({ principal: 'dave' }).addSlowly(1, 20)];
  expect((await Promise.all(inFlight)).map(({ value }) => value.after)).toEqual([10, 10, 11]);
  const { code, details } = await errorOf(alice.addMany(2));
  expect({ code, details }).toMatchObject({ code: 'IdempotencyKeyReused', details: { idempotencyKey: 'k1' } });
  await runtime.close();
  const after = (await startRuntime({ dataDir })).ref(Counter, 'a').with({ idempotencyKey: 'k1' });
  expect((await after.with({ principal: 'alice' }).add(9)).position).toBe(first.position);
  expect((await after.with({ principal: 'bob' }).add(9)).value).toBe(6);
});

test('the key of another principal cannot be written down, and limits hold', async () => {
  const runtime = await startRuntime();
  const counter = runtime.ref(Counter, 'a');
  await counter.with({ principal: 'alice', idempotencyKey: 'k1' }).add(5);
  const forged = boundKey('alice', 'k1');
  for (const principal of [undefined, 'bob']) {
    const refused = await errorOf(counter.with({ principal, idempotencyKey: forged }).add(5));
    expect(refused.code).toBe('InvalidOptions');
  }
  const longest = counter.with({ principal: 'p'.repeat(1024), idempotencyKey: 'k'.repeat(230) });
  expect((await longest.add(1)).value).toBe((await longest.add(1)).value);
  for (const options of [
    { principal: '' },
    { principal: 'p'.repeat(1025) },
    { principal: 'a\0b' },
    { principal: null as never },
    { principal: { toString: () => 'alice' } as never },
    { principal: 'p', idempotencyKey: 'k'.repeat(231) },
  ]) {
    expect((await errorOf(counter.with(options).add(1))).code).toBe('InvalidId');
  }
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
