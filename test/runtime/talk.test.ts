import { expect, test } from 'vitest';
import type { StoredEvent } from '../../src/index.ts';
import { Counter } from './aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from './scratch.ts';

test('a question is not asked again by a restart', async () => {
  const dataDir = scratchFolder();
  const first = await startRuntime({ dataDir });
  await first.ref(Counter, 'a').askOther('b', 5);
  await first.close();
  const second = await startRuntime({ dataDir });
  await until(
    () => second.status().messagesUnderWay,
    (count) => count === 0,
  );
  expect((await second.ref(Counter, 'b').whole()).value).toMatchObject({ version: 1 });
});

test('ask awaits the other aggregate, on the same shard and on another', async () => {
  const runtime = await startRuntime({ shards: 2 });
  for (const id of ['b', 'c', 'd', 'e']) {
    const receipt = await runtime.ref(Counter, 'a').askOther(id, 3);
    expect(receipt.events.map(({ data }) => data)).toEqual([{ amount: 3 }]);
  }
  expect((await runtime.ref(Counter, 'a').total()).value).toBe(12);
});

test('ask after raise is refused, and raises nothing', async () => {
  const runtime = await startRuntime();
  expect((await errorOf(runtime.ref(Counter, 'a').askTooLate('b'))).code).toBe('AskAfterRaise');
  expect((await runtime.ref(Counter, 'a').total()).version).toBe(0);
  expect((await runtime.ref(Counter, 'b').total()).version).toBe(0);
});

test('asking itself is refused at once', async () => {
  const runtime = await startRuntime();
  const error = await errorOf(runtime.ref(Counter, 'a').askItself());
  expect(error).toMatchObject({ code: 'AskItself', details: { aggregateType: 'counter', id: 'a' } });
  expect((await runtime.ref(Counter, 'a').total()).version).toBe(0);
});

test('a question that is not answered in time names the deadline that it had', async () => {
  const runtime = await startRuntime();
  const own = await errorOf(runtime.ref(Counter, 'a').askSlowly('b', 100, 20));
  expect(own).toMatchObject({ code: 'DeadlineExceeded', details: { deadlineMs: 20 } });
  const named = await errorOf(runtime.ref(Counter, 'c').with({ deadlineMs: 10_000 }).askSlowly('d', 100, 21));
  expect(named).toMatchObject({ code: 'DeadlineExceeded', details: { deadlineMs: 21 } });
  expect(named.message).toContain('21 ms');
  // One that its target has no time for any more, since another command is before it.
  const [, late] = await Promise.allSettled([
    runtime.ref(Counter, 'e').addSlowly(1, 60),
    runtime.ref(Counter, 'f').askSlowly('e', 1, 30),
  ]);
  expect((late as PromiseRejectedResult).reason.details.deadlineMs).toBe(30);
});

test('whom a question or a message cannot reach is refused where it is put', async () => {
  const runtime = await startRuntime();
  const counter = runtime.ref(Counter, 'a');
  for (const id of ['', 'x'.repeat(256)]) {
    expect((await errorOf(counter.sendOther(id, 1))).code).toBe('InvalidId');
    expect((await errorOf(counter.askOther(id, 1))).code).toBe('InvalidId');
  }
  expect((await errorOf(counter.askSlowly('b', 1, -1))).code).toBe('InvalidOptions');
  expect((await counter.total()).version).toBe(0);
});

test('a rejection crosses both threads as it is', async () => {
  const runtime = await startRuntime();
  expect((await runtime.ref(Counter, 'a').askForRejection('b')).value).toBe('too-much');
});

test('a sent command is executed once, with the cause named', async () => {
  const runtime = await startRuntime();
  const heard: StoredEvent[] = [];
  runtime.bus.on(Counter, 'Added', (event) => heard.push(event), { where: (event) => event.aggregateId === 'b' });
  const receipt = await runtime
    .ref(Counter, 'a')
    .with({ metadata: { correlationId: 'k' } })
    .sendOther('b', 5);
  expect(receipt.events).toHaveLength(1);
  await until(
    () => heard.length,
    (count) => count === 2,
  );
  expect(heard[0]!.metadata).toEqual({ correlationId: 'k', causationId: receipt.events[0]!.id });
  expect((await runtime.ref(Counter, 'b').total()).value).toBe(10);
  await until(
    () => runtime.status().messagesUnderWay,
    (count) => count === 0,
  );
});

test('a target that refuses ends the message, and is reported', async () => {
  const warnings: unknown[] = [];
  const logger = { debug() {}, info() {}, warn: (details: unknown) => warnings.push(details), error() {} };
  const runtime = await startRuntime({ logger: logger as never });
  await runtime.ref(Counter, 'a').sendRejected('b');
  await until(
    () => runtime.status().messagesUnderWay,
    (count) => count === 0,
  );
  expect(warnings).toEqual([expect.objectContaining({ aggregateType: 'counter', id: 'b', command: 'addThenReject' })]);
});

test('context is made once per shard', async () => {
  const runtime = await startRuntime({ shards: 2, context: new URL('./context.ts', import.meta.url).href });
  const values = await Promise.all(
    Array.from({ length: 40 }, async (_, i) => (await runtime.ref(Counter, `c${i}`).readContext()).value),
  );
  expect(new Set(values.map((value) => JSON.stringify(value)))).toEqual(
    new Set(['{"shard":0,"made":1}', '{"shard":1,"made":1}']),
  );
});
