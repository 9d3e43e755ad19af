import { expect, test } from 'vitest';
import type { StoredEvent } from '../../src/index.ts';
import { Counter } from './aggregates.ts';
import { errorOf, startRuntime, until } from './scratch.ts';

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

test('asking itself ends with the deadline instead of never', async () => {
  const runtime = await startRuntime();
  expect((await errorOf(runtime.ref(Counter, 'a').askItself())).code).toBe('DeadlineExceeded');
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
