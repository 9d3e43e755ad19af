// What selects dead letters: a condition that is misspelt, undefined or no such thing never selects everything.
import { expect, test } from 'vitest';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, startSmall as startRuntime } from '../runtime/scratch.ts';

const selections: unknown[] = [
  undefined,
  null,
  {},
  [],
  7,
  { handlr: 'one' },
  { limit: undefined },
  { limit: 5 },
  { limit: 0, handler: 'one' },
  { handler: '' },
  { handler: 7 },
  { aggregate: {} },
  { aggregateId: '' },
  { type: '' },
  { reason: 'faild' },
  { olderThanMs: Number.NaN },
  { olderThanMs: -1 },
  { olderThanMs: '5' },
  { all: false },
  { all: 'yes' },
  { all: true, handler: 'one' },
  ...['handler', 'aggregate', 'aggregateId', 'type', 'reason', 'olderThanMs'].flatMap((name) => [
    { [name]: undefined },
    { [name]: undefined, ...(name !== 'reason' && { reason: 'failed' }) },
    { [name]: null },
  ]),
];

test('bad selections and options are refused by name, and change nothing; all: true selects all', async () => {
  const runtime = await startRuntime();
  for (const name of ['one', 'two']) {
    const subscription = runtime.subscribe({
      name,
      retry: { attempts: 1 },
      handle() {
        throw new Error('no');
      },
    });
    await runtime.ref(Counter, name).add(1);
    await subscription.caughtUpTo(runtime.status().written);
  }
  const { deadLetters } = runtime as any;
  const codes = /^Invalid(?:Options|Id)$/;
  const before = await deadLetters.list();
  for (const change of ['discard', 'requeue']) {
    for (const which of selections) {
      const { code } = await errorOf(deadLetters[change](which));
      expect([change, which, code]).toEqual([change, which, expect.stringMatching(codes)]);
    }
    for (const options of [{ dryrun: true }, { dryRun: 'yes' }, null, 'dry']) {
      const { code } = await errorOf(deadLetters[change](before[0].id, options));
      expect([change, options, code]).toEqual([change, options, 'InvalidOptions']);
    }
    for (const id of ['', 'nonsense', 'one/']) {
      expect(await errorOf(deadLetters[change](id))).toMatchObject({ code: 'UnknownDeadLetter' });
    }
  }
  for (const query of [{ handler: undefined }, { handlr: 'one' }, { olderThanMs: Number.NaN }, { limit: 0 }]) {
    expect((await errorOf(deadLetters.list(query))).code).toMatch(codes);
  }
  expect(await deadLetters.list()).toEqual(before);
  expect(await deadLetters.discard({ handler: 'one', limit: 1 })).toHaveLength(1);
  expect(await deadLetters.discard({ all: true }, { dryRun: true })).toHaveLength(before.length - 1);
  await deadLetters.discard({ all: true });
  expect(await deadLetters.list()).toEqual([]);
});

test('replay and projections refuse what is misspelt', async () => {
  const runtime = (await startRuntime()) as any;
  const into = (): void => {};
  for (const options of [
    undefined,
    {},
    { into: '' },
    { into, form: 5 },
    { into, from: new Date('x') },
    { into, from: 5, to: 4 },
    { into, from: '1' },
    { into, types: [] },
    { into, aggregateId: 'x' },
    { into, dryRun: 'yes' },
    { into, eventsPerSecond: 0 },
    { into, signal: {} },
  ]) {
    expect([options, (await errorOf(runtime.replay(options))).code]).toEqual([options, 'InvalidOptions']);
  }
});

test('a name that looks misspelt, and may be right, is said', async () => {
  const warnings: object[] = [];
  const logger = { warn: (details: object) => warnings.push(details), error() {}, info() {}, debug() {} };
  const runtime = await startRuntime({ logger: logger as never });
  const handle = (): void => {};
  runtime.subscribe({ name: 'event', events: ['Aded'] as never[], handle });
  runtime.subscribe({ name: 'aggregate', aggregates: ['conter', 'invoice'], handle });
  runtime.subscribe({ name: 'right', events: ['Added'], aggregates: ['counter'], handle });
  expect(warnings).toEqual([
    { handler: 'event', eventType: 'Aded', meant: 'Added' },
    { handler: 'aggregate', aggregateType: 'conter', meant: 'counter' },
  ]);
});
