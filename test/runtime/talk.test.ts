import { expect, test } from 'vitest';
import { type Runtime, type StoredEvent, TrunklineError } from '../../src/index.ts';
import { Counter } from './aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from './scratch.ts';

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

test('a restart asks nobody again: who asked is gone, or has heard', async () => {
  const dataDir = scratchFolder();
  const options = { dataDir, shards: 1, idempotencyTtlMs: 1 };
  const before = await startRuntime(options);
  await before.ref(Counter, 'a').askOther('answers', 3);
  await before.ref(Counter, 'b').askForRejection('refuses');
  const totals = async (runtime: Runtime): Promise<unknown[]> =>
    Promise.all(['answers', 'refuses'].map(async (id) => (await runtime.ref(Counter, id).total()).value));
  const seen = await totals(before);
  await before.close();
  const warnings: string[] = [];
  const logger = { debug() {}, info() {}, warn: (_: object, message: string) => warnings.push(message), error() {} };
  const after = await startRuntime({ ...options, logger });
  // Whatever a start has to deliver has been sent by now, and comes before this.
  await after.ref(Counter, 'last').with({ ack: 'synced' }).add(1);
  await until(
    () => after.status().messagesUnderWay,
    (count) => count === 0,
  );
  expect(await totals(after)).toEqual(seen);
  expect(warnings).toEqual([]);
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

test('what ends the runtime ends no message: the next start delivers it', async () => {
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir, shards: 1, mailboxLimit: 1 });
  // The target is busy and its mailbox full for longer than a message waits between two attempts.
  const busy = [1, 2].map(() =>
    runtime
      .ref(Counter, 'busy')
      .addSlowly(1, 1_200)
      .catch(() => {}),
  );
  await runtime.ref(Counter, 'sender').sendOther('busy', 5);
  expect(runtime.status().messagesUnderWay).toBe(2);
  const failing = runtime as unknown as { stages: { failure: { fail(error: TrunklineError): void } } };
  const { written } = runtime.status();
  failing.stages.failure.fail(new TrunklineError('ThreadFailed', { thread: 'flush', cause: 'a test' }));
  await Promise.all(busy);
  // What its shard still writes says how far everything is done.
  await until(
    () => runtime.status().written,
    (now) => now > written,
  );
  expect(runtime.status().messagesUnderWay).toBe(2);
  await runtime.close().catch(() => {});
  const second = await startRuntime({ dataDir, shards: 1 });
  await until(
    () => second.status().messagesUnderWay,
    (count) => count === 0,
  );
  expect((await second.ref(Counter, 'busy').total()).value).toBeGreaterThanOrEqual(11);
});
