// Every name and key that a user gives goes into frames, tables or file names as UTF-8, which has no half characters: one
// that ends within an emoji would come back as another name, and what was kept under it could not be found again.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  AggregateRoot,
  createRuntime,
  defineAggregate,
  defineProjection,
  event,
  isError,
  postgres,
  type Runtime,
} from '../../src/index.ts';
import { Counter } from './aggregates.ts';
import { scratchFolder, startRuntime } from './scratch.ts';

const module = import.meta.url;
const next = () => ({});
const define = (name: string, eventType: string, command: string): any => {
  const spec = { module, state: next, events: { [eventType]: event<any>() }, evolve: { [eventType]: next } };
  return defineAggregate(name, { ...spec, commands: { [command]: () => 1 } } as any);
};
const project = (name: string, into: unknown): unknown =>
  defineProjection({ name, into, events: ['Added'], init: next, apply: next } as any);
const start = (options: object): Promise<Runtime> =>
  createRuntime({ logger: false, dataDir: scratchFolder(), aggregates: [Counter], ...options });
class Named extends AggregateRoot {
  override raise(type: string): void {
    super.raise(type, {});
  }
}

const doors: [string, (runtime: Runtime, name: string) => unknown][] = [
  ['an aggregate type', (_, name) => define(name, 'Done', 'go')],
  ['an event type', (_, name) => define('a', name, 'go')],
  ['a command', (_, name) => define('a', 'Done', name)],
  ['an aggregate type that was renamed', (_, name) => start({ aggregates: [{ ...Counter, name }] })],
  ['a sink', (_, name) => start({ sinks: [{ name, module }] })],
  ['a schema', (_, name) => postgres({ connectionString: 'postgres://127.0.0.1', schema: name })],
  ['a projection', (_, name) => project(name, 'lmdb')],
  ['a projected table', (_, name) => project('p', { table: name })],
  ['a subscription', (r, name) => r.subscribe({ name, handle: () => {} })],
  ['an aggregate id', (r, name) => r.ref(Counter, name).add(1)],
  ['an idempotency key', (r, name) => r.ref(Counter, 'a').with({ idempotencyKey: name }).add(1)],
  ['a key of once', (r, name) => r.once(name, () => 1)],
  ['a table of an effect', (r, name) => r.once('t', (tx) => tx.put(name, 'k', 1))],
  ['a key of an effect', (r, name) => r.once('k', (tx) => tx.put('t', name, 1))],
  [
    'a published type',
    (r, name) => r.publisher.publish({ aggregateType: name, aggregateId: 'a', type: 'T', data: {} }),
  ],
  ['a published id', (r, name) => r.publisher.publish({ aggregateType: 'e', aggregateId: name, type: 'T', data: {} })],
  [
    'a published event',
    (r, name) => r.publisher.publish({ aggregateType: 'e', aggregateId: 'a', type: name, data: {} }),
  ],
  ['a type whose version is asked for', (r, name) => r.publisher.version(name, 'a')],
  ['an id whose version is asked for', (r, name) => r.publisher.version('e', name)],
  ["an entity's type", (_, name) => new (Named as any)(name, 'a')],
  ["an entity's id", (_, name) => new (Named as any)('a', name)],
  ["an entity's event", (_, name) => new (Named as any)('a', 'a').raise(name)],
];

let runtime: Runtime;
beforeAll(async () => {
  runtime = await createRuntime({ logger: false, dataDir: scratchFolder(), aggregates: [Counter], shards: 1 });
});
afterAll(() => runtime.close());

describe.each(['x\ud83d', '\ude00x'])('a name with half an emoji, %j', (name) => {
  test.each(doors)('is refused as %s', async (_what, open) => {
    const error = await (async () => open(runtime, name))().then(
      () => undefined,
      (refusal) => refusal,
    );
    const isTyped = (['InvalidDefinition', 'InvalidId', 'InvalidOptions'] as const).some((code) =>
      isError(error, code),
    );
    expect(isTyped, String(error)).toBe(true);
  });
});

test('nothing came of any of them; whole emojis are names like others', async () => {
  expect(runtime.status().written).toBe(0);
  expect(define('😀', 'Done😀', 'go😀').name).toBe('😀');
  const other = await startRuntime();
  expect((await other.ref(Counter, '😀').with({ idempotencyKey: '😀' }).add(1)).value).toBe(1);
  expect(await other.once('😀', () => 1)).toBe(1);
});

// Where the events of an aggregate are known, a name that is none of them would give nothing, in silence.
const queries: [string, (runtime: Runtime, aggregate: any) => unknown][] = [
  ['getByType', (r, aggregate) => r.store.getByType('Aded', { aggregate })],
  ['query by a type', (r, aggregate) => r.store.query({ type: 'Aded', aggregate }).next()],
  ['query by types', (r, aggregate) => r.store.query({ types: ['Added', 'Aded'], aggregate }).next()],
  ['events', (r, aggregate) => r.events({ type: 'Aded', aggregate }).next()],
  ['replay', (r, aggregate) => r.replay({ types: ['Aded'], aggregate, into: () => {} })],
  ['subscribe', (r, aggregate) => r.subscribe({ name: 'a', events: ['Aded'], aggregates: [aggregate], handle() {} })],
];

test.each(queries)('a misspelt event is refused by %s, of a definition and of its name', async (_, ask) => {
  for (const aggregate of [Counter, 'counter']) {
    const refused = { code: 'UnknownEventType', details: { aggregateType: 'counter', eventType: 'Aded' } };
    await expect((async () => ask(runtime, aggregate))()).rejects.toMatchObject(refused);
  }
});

test('of an aggregate that is not known here, anything may be right', async () => {
  expect(await runtime.store.getByType('Aded', { aggregate: 'account' })).toEqual([]);
  expect(await runtime.store.getByType('Aded')).toEqual([]);
});
