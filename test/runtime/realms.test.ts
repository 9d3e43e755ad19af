// Values of another realm, as a vm context or a test runner that uses one makes them: a Date is a Date, an Error an Error.
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { describeError } from '../../src/base/errors.ts';
import { given } from '../../src/testing.ts';
import { Counter } from './aggregates.ts';
import { startRuntime } from './scratch.ts';

test('a Date of another realm is taken wherever a Date is', async () => {
  const runtime = await startRuntime();
  const date = runInNewContext('new Date(5)') as Date;
  const event = { aggregateType: 'stock', aggregateId: 'X', type: 'Split', data: {}, occurredAt: date };
  expect((await runtime.publisher.publish(event)).events[0]!.occurredAt).toEqual(new Date(5));
  expect(await runtime.store.getByType('Split', { since: date })).toHaveLength(1);
  const subscription = runtime.subscribe({ name: 'all', from: date, handle() {} });
  await subscription.caughtUpTo(1);
  const heard: string[] = [];
  await runtime.replay({ from: date, to: new Date(), into: ({ type }) => void heard.push(type) });
  expect(heard).toEqual(['Split']);
});

test('an Error of another realm keeps its name, message and stack', () => {
  const error = runInNewContext('new TypeError("no such account")');
  expect(describeError(error)).toMatchObject({ name: 'TypeError', message: 'no such account' });
  expect(describeError(error).stack).toContain('no such account');
});

test('a symbol for an event type is UnknownEventType', () => {
  const raising = { ...Counter, commands: { go: (counter: any) => counter.raise(Symbol('x'), {}) } };
  const outcome = () => (given(raising as any).when as any).go().then([]);
  const cause = expect.objectContaining({
    code: 'UnknownEventType',
    details: expect.objectContaining({ eventType: 'Symbol(x)' }),
  });
  expect(outcome).toThrow(expect.objectContaining({ cause }));
});
