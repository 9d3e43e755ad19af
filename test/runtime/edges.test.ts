// Whatever is handed to a runtime that it cannot work with: a typed error with the values in it, nothing written, and the
// runtime goes on.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createRuntime,
  defineAggregate,
  type ErrorCode,
  event,
  isError,
  Rejected,
  type Runtime,
  type RuntimeOptions,
  TrunklineError,
} from '../../src/index.ts';
import { given } from '../../src/testing.ts';
import { Counter } from './aggregates.ts';
import { errorOf, scratchFolder, startRuntime } from './scratch.ts';

const folder = mkdtempSync(join(tmpdir(), 'trunkline-edges-'));
let runtime: Runtime;
let closed: Runtime;
beforeAll(async () => {
  runtime = await createRuntime({ logger: false, dataDir: join(folder, 'open'), aggregates: [Counter], shards: 1 });
  closed = await createRuntime({ logger: false, dataDir: join(folder, 'closed'), aggregates: [Counter], shards: 1 });
  await closed.ref(Counter, 'a').add(1);
  await closed.close();
});
afterAll(async () => {
  await runtime.close();
  rmSync(folder, { recursive: true, force: true });
});

/** What is refused, thrown or rejected; anything that is not one of ours fails the test. */
async function refusal(act: () => unknown): Promise<TrunklineError> {
  const error = await errorOf((async () => act())());
  expect(error).toBeInstanceOf(TrunklineError);
  expect(error.message).not.toMatch(/\[object/);
  return error as unknown as TrunklineError;
}

/** As JavaScript without types would call it. */
const loose = (value: unknown): any => value;

const invalidDate = new Date(Number.NaN);
const added = { aggregateType: 'stock', aggregateId: 'X', type: 'StockSplit', data: {} };
const throwing = Object.defineProperty({}, 'amount', { enumerable: true, get: () => loose(undefined).x });
const { proxy: revoked, revoke } = Proxy.revocable({}, {});
revoke();

const cases: [ErrorCode, string, (runtime: Runtime) => unknown][] = [
  ['UnknownCommand', 'constructor', (r) => r.command('counter', 'a', 'constructor', [])],
  ['UnknownCommand', 'then', (r) => r.command('counter', 'a', 'then', [])],
  ['UnknownCommand', 'with', (r) => r.command('counter', 'a', 'with', [{}])],
  ['UnknownCommand', '__proto__', (r) => r.command('counter', 'a', '__proto__', [])],
  ['UnknownCommand', 'toString', (r) => r.command('counter', 'a', 'toString', [])],
  ['UnknownCommand', 'a symbol', (r) => r.command('counter', 'a', loose(Symbol.iterator), [])],
  ['UnknownAggregateType', 'a type of Object', (r) => r.command('constructor', 'a', 'add', [])],
  ['UnknownAggregateType', 'no type', (r) => r.command(loose(undefined), 'a', 'add', [])],
  ['InvalidOptions', 'input that is no list', (r) => r.command('counter', 'a', 'add', loose(5))],
  ['InvalidOptions', 'input that is text', (r) => r.command('counter', 'a', 'add', loose('12'))],
  ['InvalidOptions', 'no input', (r) => r.command('counter', 'a', 'add', loose(undefined))],
  ['InvalidOptions', 'options that are none', (r) => r.command('counter', 'a', 'add', [1], loose(null))],
  ['InvalidOptions', 'with(null)', (r) => r.ref(Counter, 'a').with(loose(null))],
  ['InvalidOptions', 'with(null), later', (r) => r.ref(Counter, 'a').with({ ack: 'raised' }).with(loose(null))],
  ['InvalidOptions', 'with, misspelt', (r) => r.ref(Counter, 'a').with(loose({ idempotencykey: 'k' }))],
  [
    'InvalidOptions',
    'a level that none is',
    (r) =>
      r
        .ref(Counter, 'a')
        .with(loose({ ack: 'sent' }))
        .add(1),
  ],
  ['InvalidOptions', 'published without a stream', (r) => r.ref(Counter, 'a').with({ ack: 'published' }).add(1)],
  [
    'InvalidOptions',
    'metadata 5',
    (r) =>
      r
        .ref(Counter, 'a')
        .with(loose({ metadata: 5 }))
        .add(1),
  ],
  [
    'InvalidOptions',
    'metadata []',
    (r) =>
      r
        .ref(Counter, 'a')
        .with(loose({ metadata: [] }))
        .add(1),
  ],
  [
    'InvalidOptions',
    'metadata null',
    (r) =>
      r
        .ref(Counter, 'a')
        .with(loose({ metadata: null }))
        .add(1),
  ],
  [
    'InvalidOptions',
    'a Date for metadata',
    (r) =>
      r
        .ref(Counter, 'a')
        .with(loose({ metadata: new Date() }))
        .add(1),
  ],
  ['UnserialisableValue', 'an argument with a throwing getter', (r) => r.ref(Counter, 'a').add(loose(throwing))],
  [
    'UnserialisableValue',
    'an argument that throws',
    (r) => r.ref(Counter, 'a').add(loose({ toJSON: throwing.valueOf })),
  ],
  ['UnserialisableValue', 'a revoked proxy', (r) => r.ref(Counter, 'a').add(loose(revoked))],
  ['UnserialisableValue', 'an invalid date', (r) => r.ref(Counter, 'a').add(loose(invalidDate))],
  ['InvalidId', 'an id with U+0000', (r) => r.ref(Counter, 'a\0')],
  ['InvalidOptions', 'a ref to nothing', (r) => r.ref(loose(undefined), 'a')],
  ['InvalidOptions', 'a ref by a name', (r) => r.ref(loose('counter'), 'a')],
  ['InvalidOptions', 'the state of nothing', (r) => r.state(loose(undefined), 'a')],
  ['InvalidOptions', 'the state by a name', (r) => r.state(loose('counter'), 'a')],
  ['InvalidOptions', 'publish(null)', (r) => r.publisher.publish(loose(null))],
  ['InvalidOptions', 'publishBatch(null)', (r) => r.publisher.publishBatch(loose(null))],
  ['InvalidOptions', 'publishBatch([])', (r) => r.publisher.publishBatch([])],
  ['InvalidOptions', 'publishBatch, misspelt', (r) => r.publisher.publishBatch([added], loose({ akc: 'raised' }))],
  ['InvalidOptions', 'publishBatch to no level', (r) => r.publisher.publishBatch([added], loose({ ack: 'x' }))],
  ['InvalidOptions', 'publishBatch to a stream', (r) => r.publisher.publishBatch([added], { ack: 'published' })],
  ['InvalidOptions', 'publishAsync(null)', (r) => r.publisher.publishAsync(loose(null))],
  ['InvalidOptions', 'an event, misspelt', (r) => r.publisher.publish({ ...added, ...loose({ occuredAt: 1 }) })],
  ['InvalidOptions', 'an invalid time', (r) => r.publisher.publish({ ...added, occurredAt: invalidDate })],
  ['InvalidOptions', 'a time as text', (r) => r.publisher.publish({ ...added, occurredAt: loose('now') })],
  ['InvalidOptions', 'a schema version', (r) => r.publisher.publish({ ...added, schemaVersion: 65536 })],
  ['InvalidOptions', 'a version', (r) => r.publisher.publish({ ...added, version: Number.NaN })],
  ['InvalidOptions', 'event metadata', (r) => r.publisher.publish({ ...added, metadata: loose('x') })],
  ['InvalidId', 'an event id', (r) => r.publisher.publish({ ...added, id: loose(5) })],
  [
    'UnserialisableValue',
    'an event with an invalid date',
    (r) => r.publisher.publish({ ...added, data: { invalidDate } }),
  ],
  ['InvalidOptions', 'save(null)', (r) => r.store.save(loose(null))],
  ['InvalidOptions', 'save, misspelt', (r) => r.store.save([added], loose({ expectedversion: 0 }))],
  ['InvalidOptions', 'an expected version', (r) => r.store.save([added], { expectedVersion: Number.NaN })],
  ['InvalidOptions', 'getByType since text', (r) => r.store.getByType('Added', loose({ since: 'yesterday' }))],
  ['InvalidOptions', 'getByType until', (r) => r.store.getByType('Added', { until: invalidDate })],
  ['InvalidOptions', 'getByType, misspelt', (r) => r.store.getByType('Added', loose({ sinse: new Date() }))],
  ['InvalidOptions', 'getByType limit', (r) => r.store.getByType('Added', { limit: -1 })],
  ['InvalidId', 'getByType without a type', (r) => r.store.getByType(loose(undefined))],
  ['InvalidOptions', 'getByAggregate of nothing', (r) => r.store.getByAggregate(loose(undefined), 'a')],
  ['InvalidId', 'getByAggregate without an id', (r) => r.store.getByAggregate(Counter, loose(undefined))],
  ['InvalidOptions', 'getFromVersion(NaN)', (r) => r.store.getFromVersion(Counter, 'a', Number.NaN)],
  ['InvalidOptions', 'getFromVersion, a limit', (r) => r.store.getFromVersion(Counter, 'a', 1, 1.5)],
  ['InvalidOptions', 'stateAt({})', (r) => r.store.stateAt(Counter, 'a', loose({}))],
  ['InvalidOptions', 'stateAt both', (r) => r.store.stateAt(Counter, 'a', { version: 1, time: new Date() })],
  ['InvalidOptions', 'stateAt an invalid time', (r) => r.store.stateAt(Counter, 'a', { time: invalidDate })],
  ['InvalidOptions', 'stateAt by name', (r) => r.store.stateAt(loose('counter'), 'a', { version: 1 })],
  ['InvalidOptions', 'heads of nothing', (r) => r.store.heads(loose(5)).next()],
  ['InvalidOptions', 'events, misspelt', (r) => r.events(loose({ typ: 'Added' }))],
  ['InvalidOptions', 'events(null)', (r) => r.events(loose(null))],
  ['InvalidOptions', 'events since text', (r) => r.events(loose({ since: 'yesterday' }))],
  ['InvalidOptions', 'events of types', (r) => r.events(loose({ types: 'Added' }))],
  ['InvalidOptions', 'events of nothing', (r) => r.events(loose({ aggregate: 7 }))],
  ['InvalidOptions', 'events with no signal', (r) => r.events(loose({ signal: {} }))],
  ['InvalidOptions', 'setFlush(null)', (r) => r.setFlush(loose(null))],
  ['InvalidOptions', 'setFlush()', (r) => r.setFlush(loose(undefined))],
  ['InvalidOptions', 'setFlush, misspelt', (r) => r.setFlush(loose({ syncBites: 1 }))],
  ['InvalidOptions', 'reached no level', (r) => r.reached(loose('sent'))],
  ['InvalidOptions', 'a receipt, no level', async (r) => (await r.ref(Counter, 'r').total()).reached(loose('sent'))],
  ['InvalidOptions', 'unitOfWork, misspelt', (r) => r.unitOfWork(loose({ akc: 'synced' }))],
  ['InvalidOptions', 'unitOfWork, half a transaction', (r) => r.unitOfWork(loose({ transaction: { commit() {} } }))],
  ['InvalidOptions', 'a handler that is none', (r) => r.unitOfWork().before('*', loose(undefined))],
  ['InvalidOptions', 'a handler before commit of no type', (r) => r.unitOfWork().before(loose(undefined), () => {})],
  ['InvalidOptions', 'a handler after commit of no type', (r) => r.unitOfWork().after('', () => {})],
  ['InvalidOptions', 'a repository that is none', (r) => r.unitOfWork().repository(loose({}))],
  ['InvalidOptions', 'an entity that is none', (r) => r.unitOfWork().register(loose({}))],
  ['UnknownEventType', 'on an unknown type', (r) => r.bus.on(Counter, loose('Nope'), () => {})],
  ['UnknownEventType', 'on a type of Object', (r) => r.bus.on(Counter, loose('toString'), () => {})],
  ['InvalidOptions', "on('x')", (r) => r.bus.on(loose('x'), () => {})],
  ['InvalidOptions', 'on nothing', (r) => r.bus.on(loose(undefined), '*', () => {})],
  ['InvalidOptions', 'no listener', (r) => r.bus.on(Counter, 'Added', loose(undefined))],
  ['InvalidOptions', 'no listener of all', (r) => r.bus.on('*', loose(undefined))],
  ['InvalidOptions', 'on, misspelt', (r) => r.bus.on('*', () => {}, loose({ were: () => true }))],
  ['InvalidOptions', 'a predicate that is none', (r) => r.bus.on('*', () => {}, loose({ where: true }))],
  ['InvalidOptions', 'batch, not yes or no', (r) => r.bus.on('*', () => {}, loose({ batch: 100 }))],
  ['InvalidOptions', 'close by -1', (r) => r.close({ deadlineMs: -1 })],
  ['InvalidOptions', 'close by NaN', (r) => r.close({ deadlineMs: Number.NaN })],
  ['InvalidOptions', 'close by text', (r) => r.close(loose({ deadlineMs: 'x' }))],
  ['InvalidOptions', 'close, misspelt', (r) => r.close(loose({ deadline: 5 }))],
];

test.each(cases)('%s: %s', async (code, _, act) => {
  expect((await refusal(() => act(runtime))).code).toBe(code);
});

test('nothing of it was written, and the runtime goes on', async () => {
  for await (const { type } of runtime.events()) throw new Error(`${type} was written`);
  expect(runtime.status()).toMatchObject({ state: 'open', inFlight: 0, listenerErrors: 0 });
  expect((await runtime.ref(Counter, 'a').add(1)).value).toBe(1);
});

test.each([
  ['a\0b', /^aggregate id holds U\+0000/],
  ['\ud800', /^aggregate id holds a lone surrogate/],
  ['', /^aggregate id must be 1 to 255 bytes of UTF-8, and is 0$/],
  ['é'.repeat(128), /^aggregate id must be 1 to 255 bytes of UTF-8, and is 256$/],
  [undefined, /^aggregate id must be text, and is undefined$/],
])('what is wrong with the id %j is said as it is', async (id, message) => {
  const error = await refusal(() => runtime.ref(Counter, loose(id)));
  expect(error.code).toBe('InvalidId');
  expect(error.message).toMatch(message);
});

test('a misspelt option names what was probably meant, and not its value', async () => {
  const error = await refusal(() => runtime.ref(Counter, 'a').with(loose({ idempotencykey: 'secret' })));
  expect(error.details).toEqual({ option: 'with.idempotencykey', reason: expect.any(String) });
  expect(error.message).toContain("did you mean 'idempotencyKey'?");
  expect(error.message).not.toContain('secret');
});

describe('options of createRuntime', () => {
  const odd: [string, object][] = [
    ['shard', { shard: 2 }],
    ['flush', { flush: null }],
    ['flush.syncIntervallMs', { flush: { syncIntervallMs: 1 } }],
    ['log', { log: null }],
    ['sinks', { sinks: 5 }],
    ['sinks', { sinks: [null] }],
    ['sinks.url', { sinks: [{ name: 'x', module: import.meta.url, url: '' }] }],
    ['logger.debug', { logger: {} }],
    ['logger', { logger: 5 }],
    ['context', { context: 5 }],
    ['bootId', { bootId: 5 }],
  ];
  test.each(odd)('%s', async (option, given) => {
    const options = { dataDir: scratchFolder(), aggregates: [Counter], ...given } as RuntimeOptions;
    expect((await refusal(() => createRuntime(options))).details).toMatchObject({ option });
  });
  test.each([null, undefined, 5, []])('%o', async (options) => {
    expect((await refusal(() => createRuntime(loose(options)))).code).toBe('InvalidOptions');
  });
});

describe('definitions', () => {
  const spec = { module: import.meta.url, state: () => ({}), events: {}, evolve: {}, commands: {} };
  const odd: [string, unknown][] = [
    ['evolv', { ...spec, evolv: {} }],
    ['evry', { ...spec, snapshot: { evry: 5 } }],
    ['snapshot.version', { ...spec, snapshot: { version: 'x' } }],
    ['snapshot', { ...spec, snapshot: null }],
    ['definition', null],
    ['events', { ...spec, events: undefined }],
    ['made by event()', { ...spec, events: { A: {} }, evolve: { A: () => ({}) } }],
  ];
  test.each(odd)('%s', async (word, given) => {
    const error = await refusal(() => defineAggregate('x', loose(given)));
    expect(error.code).toBe('InvalidDefinition');
    expect(error.message).toContain(word);
  });
  test('an event with odd settings, or with a schema that is none', async () => {
    for (const act of [
      () => event(undefined, loose({ versoin: 2 })),
      () => event(undefined, { version: 0 }),
      () => event(loose({ parse() {} })),
    ]) {
      expect((await refusal(act)).code).toBe('InvalidOptions');
    }
  });
});

describe('after close', () => {
  const late: [string, (runtime: Runtime) => unknown][] = [
    ['a command', (r) => r.ref(Counter, 'a').add(1)],
    ['a command by name', (r) => r.command('counter', 'a', 'add', [1])],
    ['getByAggregate', (r) => r.store.getByAggregate(Counter, 'a')],
    ['getFromVersion', (r) => r.store.getFromVersion(Counter, 'a', 1)],
    ['getByType', (r) => r.store.getByType('Added')],
    ['stateAt', (r) => r.store.stateAt(Counter, 'a', { version: 1 })],
    ['head', (r) => r.store.head(Counter, 'a')],
    ['heads', (r) => r.store.heads(Counter).next()],
    ['save', (r) => r.store.save([added])],
    ['publish', (r) => r.publisher.publish(added)],
    ['publishBatch', (r) => r.publisher.publishBatch([added])],
    ['publishAsync', (r) => r.publisher.publishAsync(added)],
    ['version', (r) => r.publisher.version('stock', 'X')],
    ['setFlush', (r) => r.setFlush('durable')],
    ['reached', (r) => r.reached('written')],
    ['events', (r) => r.events()],
    ['on', (r) => r.bus.on(Counter, 'Added', () => {})],
    ['unitOfWork', (r) => r.unitOfWork()],
  ];
  test.each(late)('%s', async (_, act) => {
    const error = await refusal(() => act(closed));
    expect(error).toMatchObject({ code: 'RuntimeClosed', details: { state: 'closed' } });
  });
  test('what only looks, or ends something, is harmless', async () => {
    const runtime = await startRuntime();
    const listening = runtime.bus.on(Counter, 'Added', () => {});
    const receipt = await runtime.ref(Counter, 'a').add(1);
    await runtime.close();
    listening.off();
    runtime.bus.off(Counter, 'Added', () => {});
    await runtime.close();
    expect(runtime.status().state).toBe('closed');
    await receipt.reached('stored');
  });
  test('a transaction is not committed when its events could not be published any more', async () => {
    const runtime = await startRuntime();
    const calls: string[] = [];
    const work = runtime.unitOfWork({
      transaction: { commit: () => void calls.push('commit'), rollback: () => void calls.push('rollback') },
    });
    await runtime.close();
    expect((await refusal(() => work.commit())).code).toBe('RuntimeClosed');
    expect(calls).toEqual(['rollback']);
  });
});

describe('a rejection reaches the caller whole, or the command fails by what is in its way', () => {
  const bad = { function: '.at.call', bigint: '.amount', nan: '.amount', date: '.at', cycle: '.self' };
  test.each(Object.entries(bad))('%s', async (what, path) => {
    const error = await refusal(() => runtime.ref(Counter, 'rejecting').rejectWith(what));
    expect(error.details).toMatchObject({ path: `Rejected('no').details${path}` });
    expect(isError(error, 'UnserialisableValue')).toBe(true);
    given(Counter)
      .when.rejectWith(what)
      .then(new TrunklineError('UnserialisableValue', error.details as never));
  });
  test('large details are not cut, also under a key, also across an ask', async () => {
    const counter = runtime.ref(Counter, 'rejecting').with({ idempotencyKey: 'large' });
    for (let i = 0; i < 2; i++) {
      const error = await errorOf(counter.rejectWith('text', 100_000));
      expect(error).toBeInstanceOf(Rejected);
      expect(error.details.text).toHaveLength(100_000);
    }
    const asked = await runtime.ref(Counter, 'asking').askForBigRejection('rejecting', 100_000);
    expect(asked.value).toEqual({ code: 'no', length: 100_000 });
    expect((await errorOf(runtime.ref(Counter, 'rejecting').rejectWith('scalar'))).details).toBe(5);
  });
  test('a code that is a number, under a key, and over a restart', async () => {
    const dataDir = scratchFolder();
    for (let i = 0; i < 2; i++) {
      await using own = await startRuntime({ dataDir, shards: 1 });
      const counter = own.ref(Counter, 'numbers').with({ idempotencyKey: 'number' });
      for (let j = 0; j < 2; j++) {
        const error = await errorOf(counter.rejectWith('number as its code'));
        expect([error instanceof Rejected, error.code, error.details]).toEqual([true, 404, 5]);
      }
    }
  });
  test('beyond what a ring takes: CommandTooLarge, and the shard lives', async () => {
    const small = await startRuntime({ shards: 1, flush: { ringBytes: 1 << 16 } });
    for (const ref of [small.ref(Counter, 'a'), small.ref(Counter, 'a').with({ idempotencyKey: 'k' })]) {
      expect((await errorOf(ref.rejectWith('text', 1 << 16))).code).toBe('CommandTooLarge');
    }
    const within = 32_768 - 300; // fits a reply of its own, and not quite into an answer
    for (let length = within; length < within + 200; length += 8) {
      const { value } = await small.ref(Counter, 'b').askForBigRejection('c', length);
      expect((value as { code: string }).code).toMatch(/^(no|CommandTooLarge)$/);
    }
    expect(small.status().shardRestarts).toBe(0);
  });
});

test('a key that comes with another command is refused, and the first outcome stays', async () => {
  const counter = runtime.ref(Counter, 'keyed').with({ idempotencyKey: 'once' });
  await counter.add(5);
  const error = await refusal(() => counter.addMany(5));
  expect(error).toMatchObject({
    code: 'IdempotencyKeyReused',
    details: { idempotencyKey: 'once', command: 'addMany', firstCommand: 'add' },
  });
  expect((await counter.add(7)).value).toBe(5);
  expect((await runtime.ref(Counter, 'keyed').total()).version).toBe(1);
});

test('one that is too large while others wait for room is refused alone', async () => {
  const small = await startRuntime({ shards: 1, flush: { ringBytes: 1 << 16 } });
  const counter = small.ref(Counter, 'a');
  const sent = Array.from({ length: 40 }, () => counter.label('x'.repeat(10_000)));
  const tooLarge = errorOf(counter.label('x'.repeat(1 << 16)));
  const after = counter.label('y');
  expect((await Promise.all(sent)).at(-1)!.version).toBe(40);
  expect((await tooLarge).code).toBe('CommandTooLarge');
  expect((await after).version).toBe(41);
  expect(small.status().inFlight).toBe(0);
});
