import { inspect, isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from 'vitest';
import { defineAggregate, event, Rejected, TrunklineError } from '../../src/index.ts';
import { given } from '../../src/testing.ts';
import { Order as Evolved } from '../evolution/release-2.ts';
import { hostileMetadata } from '../hostile.ts';
import { Counter } from '../runtime/aggregates.ts';

const added = (amount: number) => ({ type: 'Added' as const, data: { amount } });

test('events by type, or with their data', () => {
  given(Counter, [added(2)])
    .when.add(3)
    .then(['Added']);
  const { state, value, version, events } = given(Counter, [added(2)])
    .when.add(3)
    .then([added(3)]);
  expect({ state, value, version }).toEqual({ state: { total: 5, labels: [] }, value: 5, version: 2 });
  expect(events[0]!.data).toEqual({ amount: 3 });
  given(Counter).when.total().then([]);
});

test('a field that is undefined is expected by leaving it out, or by saying so; a date as it is carried', () => {
  const Ticket = defineAggregate('ticket', {
    module: import.meta.url,
    state: () => ({ n: 0 }),
    events: { Closed: event<{ customer: string | undefined; at: Date; parts: { note: string | undefined }[] }>() },
    evolve: { Closed: ({ n }) => ({ n: n + 1 }) },
    commands: {
      close(ticket, customer?: string) {
        ticket.raise('Closed', { customer, at: new Date(0), parts: [{ note: undefined }] });
      },
    },
  });
  const at = '1970-01-01T00:00:00.000Z';
  const left = { type: 'Closed' as const, data: { at, parts: [{}] } };
  const said = { type: 'Closed' as const, data: { at, customer: undefined, parts: [{ note: undefined }] } };
  given(Ticket, [left, said]).when.close().then([left]);
  given(Ticket, [said]).when.close().then([said]);
  expect(() => given(Ticket).when.close('ann').then([left])).toThrow();
  expect(() => given(Ticket, [{ ...left, dta: 1 } as never]).when.close()).toThrow(/dta/);
});

test('an expectation that does not hold throws', () => {
  expect(() => given(Counter).when.add(3).then([])).toThrow();
  expect(() => given(Counter).when.add(3).then(['Labelled'])).toThrow();
  expect(() =>
    given(Counter)
      .when.add(3)
      .then([added(4)]),
  ).toThrow();
  expect(() => given(Counter).when.add(3).then(['Added', 'Added'])).toThrow();
  expect(() => given(Counter).when.add(3).then(Rejected)).toThrow(/expected the command to fail/);
  expect(() => given(Counter).when.addThenReject(3).then(['Added'])).toThrow('too-much');
});

test('a rejection by class, code or details; an error of the library by its code', () => {
  given(Counter).when.addThenReject(3).then(Rejected);
  given(Counter).when.addThenReject(3).then(new Rejected('too-much'));
  given(Counter)
    .when.addThenReject(3)
    .then(new Rejected('too-much', { amount: 3, total: 3 }));
  expect(() => given(Counter).when.addThenReject(3).then(new Rejected('other'))).toThrow();
  expect(() =>
    given(Counter)
      .when.addThenReject(3)
      .then(new Rejected('too-much', { amount: 4, total: 3 })),
  ).toThrow();
  given(Counter).when.addThenThrow().then(RangeError);
  const details = { aggregateType: 'counter', eventType: 'Checked' };
  given(Counter).when.check().then(new TrunklineError('AsyncSchemaUnsupported', details));
});

test('more events than a command may raise are refused, as by a shard', () => {
  const details = expect.objectContaining({ limit: 4 << 20 });
  const cause = expect.objectContaining({ code: 'CommandTooLarge', details });
  const error = expect.objectContaining({ name: 'AssertionError', cause });
  expect(() =>
    given(Counter)
      .when.label('x'.repeat(5 << 20))
      .then(['Labelled']),
  ).toThrow(error);
});

test('what was refused has left the state alone', () => {
  const { state, version } = given(Counter, [added(2)])
    .when.addThenReject(3)
    .then(Rejected);
  expect({ state, version }).toEqual({ state: { total: 2, labels: [] }, version: 1 });
});

test('asynchronous commands, questions and messages', async () => {
  await given(Counter)
    .when.addSlowly(3, 0)
    .then([added(3)]);
  await given(Counter).when.addAndFail().then(new Rejected('changed-my-mind'));
  const asked: unknown[] = [];
  const answer = (question: unknown): number => asked.push(question) && 40;
  await given(Counter, [], { answer })
    .when.askOther('b', 7)
    .then([added(40)]);
  expect(asked).toEqual([{ aggregateType: 'counter', id: 'b', command: 'add', input: [7] }]);
  const { sent } = given(Counter).when.sendOther('b', 5).then(['Added']);
  expect(sent).toEqual(Array(2).fill({ aggregateType: 'counter', id: 'b', command: 'add', input: [5] }));
  const outcome = await given(Counter, [], { context: { shard: 7, made: 1 } })
    .when.readContext()
    .outcome();
  expect(outcome.value).toEqual({ shard: 7, made: 1 });
});

describe('a state changed in place', () => {
  interface State {
    total: number;
    list: { n: number }[];
  }
  const mutable = (state: unknown): State => state as State;
  const Careless = defineAggregate('careless', {
    module: import.meta.url,
    state: (): State => ({ total: 0, list: [{ n: 0 }] }),
    events: { Added: event<{ n: number }>(), Pushed: event<{ n: number }>() },
    evolve: {
      Added: (state, { n }) => ({ ...state, total: state.total + n, list: [{ n }] }),
      Pushed(state, { n }) {
        mutable(state).list.push({ n });
        return state;
      },
    },
    commands: {
      assign: (careless) => void (mutable(careless.state).total = 5),
      deep: (careless) => void (mutable(careless.state).list[0]!.n = 5),
      afterRaise(careless) {
        careless.raise('Added', { n: 1 });
        mutable(careless.state).list[0]!.n = 5;
      },
      push: (careless) => careless.raise('Pushed', { n: 1 }),
      async later(careless) {
        await null;
        mutable(careless.state).list.pop();
      },
    },
  });
  const one = { type: 'Added' as const, data: { n: 1 } };
  test.each([0, 1])('is found in commands and reducers, however deep, after %d events', async (count) => {
    const before = [one].slice(0, count);
    for (const name of ['assign', 'deep', 'afterRaise', 'push'] as const) {
      given(Careless, before).when[name]().then(TypeError);
    }
    await given(Careless, before).when.later().then(TypeError);
    const pushed = { type: 'Pushed' as const, data: { n: 1 } };
    expect(() => given(Careless, [...before, pushed]).when.assign()).toThrow(TypeError);
  });
});

test('what libraries look for on the commands of a test is not there, and nothing throws', async () => {
  const { when } = given(Counter) as any;
  expect(when.nope).toBeUndefined();
  for (const mark of ['toJSON', 'then', 'asymmetricMatch', '$$typeof']) expect(when[mark]).toBeUndefined();
  expect([JSON.stringify(when), String(when), `${when}`, inspect(when)]).toEqual([
    '{}',
    '[object Object]',
    '[object Object]',
    '{}',
  ]);
  expect(isDeepStrictEqual(when, when)).toBe(true);
  expect(await when).toBe(when);
});

test.each(Object.entries(hostileMetadata))('refuses, as a shard does, %s', (_, metadata) => {
  const trial = (): unknown =>
    given(Counter, [], { metadata: metadata as Record<string, unknown> })
      .when.add(1)
      .then(['Added']);
  expect(trial).toThrow(
    expect.objectContaining({ code: expect.stringMatching(/^(InvalidOptions|Unserialis|CommandToo)/) }),
  );
});

test('events as older releases have stored them: of the version and by the name of then', () => {
  const { state } = given(Evolved, [
    { type: 'OrderCreated', schemaVersion: 1, data: { orderId: 'o', total: '5' } },
    { type: 'LineAdded', schemaVersion: 1, data: { sku: 'a' } },
    { type: 'ContactGiven', schemaVersion: 1, data: { street: 'Pall Mall', phone: '1' } },
    { type: 'CouponUsed', schemaVersion: 1, data: {} },
  ])
    .when.add('b')
    .then(['ItemAdded']);
  expect(state).toMatchObject({ amount: '5', currency: 'USD', address: 'Pall Mall by AddressGiven@1', phone: '1' });
  expect(state.items).toEqual(['a by ItemAdded@1', 'b by ItemAdded@1']);
  const of = (schemaVersion: unknown) => () =>
    given(Evolved, [{ type: 'OrderCreated', schemaVersion, data: {} } as never]).when.add('b');
  expect(of(4)).toThrow(expect.objectContaining({ code: 'UnsupportedEventVersion' }));
  expect(of(0)).toThrow(expect.objectContaining({ code: 'InvalidOptions' }));
  expect(of('1')).toThrow(expect.objectContaining({ code: 'InvalidOptions' }));
});
