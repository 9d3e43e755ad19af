// What a program gets hold of is a value that behaves as it looks: events and receipts copy whole, refs, receipts and
// events are equal only where they are the same, and no library finds a mark on them that they do not have.
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { AggregateRoot } from 'trunkline';
import { given } from 'trunkline/testing';
import { expect, test, vi } from 'vitest';
import { letterEvent } from '../../src/dead-letters/letters.ts';
import { AppliedEvent, seesEvent } from '../../src/shard/evolve.ts';
import { Counter } from '../fixtures/counter.ts';
import { Keeper } from './keeper.ts';
import { sharedRuntime } from './scratch.ts';

const start = sharedRuntime({ aggregates: [Counter, Keeper] });

const eventFields = ['id', 'position', 'aggregateType', 'aggregateId', 'version', 'type', 'schemaVersion'];
const lazyFields = ['occurredAt', 'data', 'metadata'];

function posted(value: unknown): unknown {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(value);
  const received = receiveMessageOnPort(port2) as { message: unknown };
  port1.close();
  return received.message;
}

/** The ways in which programs copy a value. */
const copies: Record<string, (value: object) => unknown> = {
  spread: (value) => ({ ...value }),
  'Object.assign': (value) => Object.assign({}, value),
  'Object.entries': (value) => Object.fromEntries(Object.entries(value)),
  structuredClone,
  postMessage: posted,
};

test.each(Object.keys(copies))('an event and a receipt are whole after %s', async (way) => {
  const runtime = await start();
  const copy = copies[way]!;
  const receipt = await runtime
    .ref(Counter, `copied by ${way}`)
    .with({ metadata: { tenantId: 't' } })
    .add(7);
  const [event] = receipt.events;
  const { id, position, occurredAt } = event!;
  const expected = { id, position, aggregateType: 'counter', aggregateId: `copied by ${way}`, version: 1 };
  const whole = { ...expected, type: 'Added', schemaVersion: 1, occurredAt, data: { amount: 7 } };
  const copied = copy(event!) as { metadata: object };
  expect(Object.keys(copied).sort()).toEqual([...eventFields, ...lazyFields].sort());
  expect(copied).toMatchObject(whole);
  expect(copied.metadata).toMatchObject({ tenantId: 't' });
  expect(copy(receipt)).toMatchObject({ value: 7, version: 1, position, events: [whole] });
});

test('an event from the store, the bus and the history copies whole, too', async () => {
  const runtime = await start();
  const heard = Promise.withResolvers<object>();
  using _ = runtime.bus.on(Counter, 'Added', (event) => heard.resolve({ ...event }));
  const receipt = await runtime.ref(Counter, 'everywhere').add(3);
  await receipt.reached('stored');
  const seen = [await heard.promise, ...(await runtime.store.getByAggregate(Counter, 'everywhere'))];
  for await (const event of runtime.events({ aggregate: Counter, aggregateId: 'everywhere' })) seen.push(event);
  expect(seen.length).toBe(3);
  for (const event of seen) expect({ ...event }).toMatchObject({ data: { amount: 3 }, occurredAt: expect.any(Date) });
});

test('events made by entities and read from dead letters copy whole, too', () => {
  class Account extends AggregateRoot {
    deposit(amount: number): void {
      this.raise('Deposited', { amount });
    }
  }
  const account = new Account('account', 'a');
  account.deposit(3);
  const json = { id: 'e', type: 'T', version: 1, occurredAt: new Date(5).toISOString(), data: { amount: 3 } };
  const letter = letterEvent({ event: json as never });
  for (const event of [account.uncommittedEvents[0]!, letter]) {
    for (const copy of Object.values(copies)) {
      expect(copy(event)).toMatchObject({ data: { amount: 3 }, occurredAt: event.occurredAt, version: 1 });
    }
    expect(JSON.parse(JSON.stringify(event)).occurredAt).toBe(event.occurredAt.toISOString());
    event.occurredAt.setFullYear(1990);
    expect(event.occurredAt.getFullYear()).not.toBe(1990);
  }
});

test('a reducer that spreads its event into the state keeps all of it, alive and replayed', async () => {
  const runtime = await start();
  const receipt = await runtime
    .ref(Keeper, 'k')
    .with({ metadata: { tenantId: 't' } })
    .keep('a');
  const [event] = receipt.events;
  const kept = receipt.value as { id: string; occurredAt: string; metadata: object; data: object };
  expect(kept).toMatchObject({ id: event!.id, occurredAt: event!.occurredAt.toISOString(), data: { text: 'a' } });
  expect(kept.metadata).toMatchObject({ tenantId: 't' });
  await receipt.reached('stored');
  const replayed = await runtime.store.stateAt(Keeper, 'k', { version: 1 });
  expect({ ...replayed!.state.last }).toMatchObject({ id: event!.id, metadata: { tenantId: 't' } });
  given(Keeper).when.keep('b').then(['Kept']);
});

test('a reducer that cannot see the event is told from one that can', () => {
  const blind = [
    (a: unknown) => a,
    (a: unknown, { b }: any) => [a, b],
    {
      m(a: unknown, b: unknown) {
        return [a, b];
      },
    }.m,
    function f(a: unknown) {
      return a;
    },
    (_: unknown) => ({ ...(_ as object) }),
  ];
  for (const reducer of blind) expect([seesEvent(reducer), reducer.toString()]).toEqual([false, reducer.toString()]);
  const seeing = [
    (...all: unknown[]) => all,
    (a: unknown, b: unknown, c: unknown = 1) => [a, b, c],
    (a: unknown, { b = Math.max(1, 2) }: any) => [a, b],
    function f(a: unknown) {
      // biome-ignore lint/complexity/noArguments: a reducer may be written so
      return [a, arguments];
    },
    ((a: unknown, b: unknown, c: unknown) => [a, b, c]).bind(null),
    ((...all: unknown[]) => all).bind(null),
    new Proxy((a: unknown) => a, {}),
    vi.fn((a: unknown, b: unknown, c: unknown) => [a, b, c]),
  ];
  for (const reducer of seeing) expect([seesEvent(reducer), String(reducer)]).toEqual([true, String(reducer)]);
  expect(
    Object.keys(new AppliedEvent('a', 'i', 1, 'T', 1, {}, 0, '', new DataView(new ArrayBuffer(16)), 0)).sort(),
  ).toEqual([...eventFields.filter((field) => field !== 'position'), ...lazyFields].sort());
});

function isEqual(one: unknown, other: unknown): boolean {
  try {
    assert.deepStrictEqual(one, other);
    expect(one).toEqual(other);
    return true;
  } catch {
    return false;
  }
}

test('refs, receipts and events are deeply equal only where they are the same', async () => {
  const runtime = await start();
  const ref = (id: string) => runtime.ref(Counter, id);
  expect(isEqual(ref('a'), ref('a'))).toBe(true);
  expect(isEqual(ref('a'), ref('b'))).toBe(false);
  expect(isEqual(ref('a'), runtime.ref(Keeper, 'a'))).toBe(false);
  expect(isEqual(ref('a'), ref('a').with({ ack: 'synced' }))).toBe(false);
  const [x, y] = [await ref('x').add(7), await ref('y').add(9)];
  expect(isEqual(x, x)).toBe(true);
  expect(isEqual(x, y)).toBe(false);
  expect(isEqual(x.events[0], y.events[0])).toBe(false);
  const repeat = () => ref('x').with({ idempotencyKey: 'k' }).add(1);
  await repeat();
  expect(isEqual(await repeat(), await ref('x').with({ idempotencyKey: 'l' }).add(1))).toBe(false);
});

test('a ref has no mark that a library looks for, and none makes a command', async () => {
  const runtime = await start();
  const ref = runtime.ref(Counter, 'a') as unknown as Record<string | symbol, unknown>;
  const marks = [
    'then',
    'asymmetricMatch',
    '$$typeof',
    'nodeType',
    '_isMockFunction',
    'toJSON',
    'length',
    'jquery',
    'next',
  ];
  for (const mark of [...marks, Symbol.iterator, Symbol.asyncIterator, Symbol.toStringTag]) {
    expect([mark, ref[mark]]).toEqual([mark, undefined]);
  }
  expect(`${ref}`).toBe('counter/a');
  expect(inspect(ref)).toBe('Ref counter/a');
});
