// What handlers get of events of the past: parts in their order, each as an event of its own, within one attempt.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createRuntime, type Runtime, type StoredEvent } from '../../src/index.ts';
import { all, errorOf } from '../runtime/scratch.ts';
import { Order as First } from './release-1.ts';
import { Order } from './release-2.ts';

let folder: string;
let runtime: Runtime;
let written: number;
let stored: StoredEvent;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'trunkline-evolution-'));
  const dataDir = join(folder, 'data');
  const before = await createRuntime({ logger: false, dataDir, aggregates: [First], shards: 1 });
  const order = before.ref(First, 'o1').with({ metadata: { correlationId: 'c-1' } });
  await order.create('12.50');
  await order.add('shoe');
  stored = (await order.reach('Main Street', '555')).events[0]!;
  await order.redeem('SPRING');
  await before.close();
  runtime = await createRuntime({ logger: false, dataDir, aggregates: [Order], shards: 1 });
  written = runtime.status().written;
});
afterAll(async () => {
  await runtime?.close();
  rmSync(folder, { recursive: true, force: true });
});

let handlers = 0;
const name = (): string => `handler-${++handlers}`;

test('parts are handed over one after the other; a failed one is tried again with those before it, and none behind it begins', async () => {
  const log: string[] = [];
  const keys: string[] = [];
  const handler = runtime.subscribe({
    name: name(),
    events: ['AddressGiven', 'PhoneGiven'],
    retry: { attempts: 3, minDelayMs: 1 },
    async handle(event, { attempt, effectKey, tx }) {
      log.push(`${attempt} begins ${event.type}`);
      keys.push(effectKey);
      tx.put('seen', event.type, attempt);
      await new Promise((resolve) => setImmediate(resolve));
      log.push(`${attempt} ends ${event.type}`);
      if (event.type === 'AddressGiven' && attempt === 1) throw new Error('not yet');
      if (event.type === 'PhoneGiven' && attempt === 2) throw new Error('not yet');
    },
  });
  await handler.caughtUpTo(written);
  expect(log).toEqual([
    '1 begins AddressGiven',
    '1 ends AddressGiven',
    ...[2, 3].flatMap((n) =>
      ['AddressGiven', 'PhoneGiven'].flatMap((type) => [`${n} begins ${type}`, `${n} ends ${type}`]),
    ),
  ]);
  const [address, again, phone, onceMore, phoneAgain] = keys;
  expect([again, onceMore, phoneAgain]).toEqual([address, address, phone]);
  expect(phone).not.toBe(address);
  expect(await runtime.effect('seen', 'AddressGiven')).toBe(3);
  expect(await runtime.effect('seen', 'PhoneGiven')).toBe(3);
});

test('a part has the place, time and metadata of the stored event, and always the same id; the first one its id', async () => {
  const read = async (): Promise<StoredEvent[]> => (await all(runtime.events())).filter(({ version }) => version === 3);
  const [first, again] = [await read(), await read()];
  expect(first.map(({ id }) => id)).toEqual(again.map(({ id }) => id));
  expect(first[0]!.id).toBe(stored.id);
  expect(first[1]!.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  for (const part of first) {
    const { position, version, occurredAt, metadata } = stored;
    expect(part).toMatchObject({ position, version, occurredAt, metadata: { ...metadata, correlationId: 'c-1' } });
    expect([Object.isFrozen(part), Object.isFrozen(part.data)]).toEqual([true, true]);
  }
});

test('an event of an older version is frozen, copies as it looks, and is made once', async () => {
  const [event] = await all(runtime.events({ type: 'OrderCreated' }));
  const data = { orderId: 'o1', amount: '12.50', currency: 'USD' };
  const { data: made } = event!;
  expect([Object.isFrozen(event), Object.isFrozen(made), event!.data === made]).toEqual([true, true, true]);
  expect({ ...event }).toMatchObject({ type: 'OrderCreated', schemaVersion: 3, data });
  expect(structuredClone({ ...event, toJSON: undefined })).toMatchObject({ schemaVersion: 3, data });
  expect(JSON.parse(JSON.stringify(event))).toMatchObject({ type: 'OrderCreated', schemaVersion: 3, data });
  expect(inspect(event)).toContain("amount: '12.50'");
});

test('a time-out ends the attempt of all parts', async () => {
  const begun: string[] = [];
  const handler = runtime.subscribe({
    name: name(),
    events: ['AddressGiven', 'PhoneGiven'],
    timeoutMs: 30,
    retry: { attempts: 1 },
    handle(event, { signal }) {
      begun.push(event.type);
      return new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    },
  });
  await handler.caughtUpTo(written);
  expect(begun).toEqual(['AddressGiven']);
  expect(await runtime.deadLetters.list({ type: 'PhoneGiven' })).toMatchObject([
    { error: { code: 'HandlerTimedOut' } },
  ]);
  await runtime.deadLetters.discard({ type: 'PhoneGiven' });
});

test('batches get the parts that are wanted, the last of each key', async () => {
  const read = async (options: object): Promise<string[]> => {
    const seen: string[] = [];
    const handle = (events: readonly StoredEvent[]): void => void seen.push(...events.map(({ type }) => type));
    const handler = runtime.subscribe({ name: name(), batch: { max: 10 }, handle, ...options } as never);
    await handler.caughtUpTo(written);
    return seen;
  };
  expect(await read({})).toEqual(['OrderCreated', 'ItemAdded', 'AddressGiven', 'PhoneGiven']);
  expect(await read({ events: ['PhoneGiven'] })).toEqual(['PhoneGiven']);
  const coalesceBy = ({ aggregateId }: StoredEvent): string => aggregateId;
  expect(await read({ batch: { max: 10, coalesceBy } })).toEqual(['PhoneGiven']);
});

test('a condition is asked of each part', async () => {
  const seen: string[] = [];
  const handler = runtime.subscribe({
    name: name(),
    where: ({ type }) => type === 'PhoneGiven',
    handle: ({ type }) => void seen.push(type),
  });
  await handler.caughtUpTo(written);
  expect(seen).toEqual(['PhoneGiven']);
});

test('a former name selects what it is today; a misspelt one is refused', async () => {
  const seen: unknown[] = [];
  const handle = ({ type, data }: StoredEvent): void => void seen.push([type, data]);
  const handler = runtime.subscribe({ name: name(), aggregates: [Order], events: ['LineAdded' as never], handle });
  await handler.caughtUpTo(written);
  expect(seen).toEqual([['ItemAdded', { sku: 'shoe' }]]);
  const misspelt = { name: name(), aggregates: [Order], events: ['LineAded' as never], handle };
  expect(() => runtime.subscribe(misspelt)).toThrow(expect.objectContaining({ code: 'UnknownEventType' }));
  const both = await all(runtime.events({ type: 'LineAdded', types: ['OrderCreated'] }));
  expect(both.map(({ type }) => type)).toEqual(['OrderCreated', 'ItemAdded']);
});

test('a projection that wants one part folds that one', async () => {
  const rows = runtime.project({
    name: 'phones',
    into: 'memory',
    events: ['PhoneGiven'],
    init: () => ({ seen: [] as string[] }),
    apply: (row, { type }) => ({ seen: [...row.seen, type] }),
  });
  await rows.caughtUpTo(written);
  expect(await rows.entries()).toEqual([{ key: 'o1', row: { seen: ['PhoneGiven'] } }]);
});

test('a thread of the handler’s own gets events as they are today', async () => {
  process.env.TRUNKLINE_SEEN = join(folder, 'seen');
  const handler = runtime.subscribe({
    name: name(),
    thread: 'worker',
    module: new URL('./writes-events.ts', import.meta.url).href,
  });
  await handler.caughtUpTo(written);
  const lines = readFileSync(process.env.TRUNKLINE_SEEN, 'utf8').trim().split('\n');
  const seen = lines.map((line) => JSON.parse(line));
  expect(seen.map(({ type, schemaVersion, data }) => [type, schemaVersion, data])).toEqual([
    ['OrderCreated', 3, { orderId: 'o1', amount: '12.50', currency: 'USD' }],
    ['ItemAdded', 1, { sku: 'shoe' }],
    ['AddressGiven', 1, { street: 'Main Street' }],
    ['PhoneGiven', 1, { phone: '555' }],
  ]);
  expect(new Set(seen.map(({ effectKey }) => effectKey)).size).toBe(4);
});

test('a letter is found by its names of today, shown and tried so, and takes the newest version’s data', async () => {
  const handler = name();
  let isMended = false;
  const seen: unknown[] = [];
  const dry: unknown[] = [];
  const subscription = runtime.subscribe({
    name: handler,
    onExhausted: 'park-event',
    retry: { attempts: 1 },
    handle({ type, data }, { dryRun }) {
      if (dryRun) dry.push([type, data]);
      if (!isMended) throw new Error('no');
      seen.push([type, data]);
    },
  });
  await subscription.caughtUpTo(written);
  const found = async (type: string): Promise<unknown[]> =>
    (await runtime.deadLetters.list({ handler, type })).map(({ event }) => event.type);
  expect(await found('ItemAdded')).toEqual(['ItemAdded']);
  expect(await found('LineAdded')).toEqual(['ItemAdded']);
  expect(await found('PhoneGiven')).toEqual(['ContactGiven']);
  expect(await found('ContactGiven')).toEqual(['ContactGiven']);
  const [letter] = await runtime.deadLetters.list({ handler, type: 'OrderCreated' });
  expect(letter!.event).toMatchObject({ schemaVersion: 3, data: { amount: '12.50' } });
  expect(await errorOf(runtime.deadLetters.edit(letter!.id, { orderId: 'o1', total: '1' }))).toMatchObject({
    code: 'SchemaViolation',
  });
  const data = { orderId: 'o1', amount: '13', currency: 'EUR' };
  expect((await runtime.deadLetters.edit(letter!.id, data)).event).toMatchObject({ schemaVersion: 3, data });
  const [split] = await runtime.deadLetters.list({ handler, type: 'ContactGiven' });
  expect(await errorOf(runtime.deadLetters.edit(split!.id, null))).toMatchObject({ code: 'UpcastFailed' });
  expect(await runtime.deadLetters.show(split!.id)).toMatchObject({ edited: false, event: { data: { phone: '555' } } });
  expect(await runtime.deadLetters.edit(split!.id, { street: 'High Street', phone: '556' })).toMatchObject({
    edited: true,
  });
  const outcomes = await runtime.deadLetters.requeue({ handler }, { dryRun: true });
  expect(new Set(outcomes.map(({ outcome }) => outcome))).toEqual(new Set(['would fail']));
  expect(dry).toContainEqual(['ItemAdded', { sku: 'shoe' }]);
  expect(dry).toContainEqual(['OrderCreated', data]);
  isMended = true;
  await runtime.deadLetters.requeue({ handler });
  await expect.poll(() => seen.length).toBe(4);
  expect(seen).toEqual(
    expect.arrayContaining([
      ['OrderCreated', data],
      ['ItemAdded', { sku: 'shoe' }],
      ['AddressGiven', { street: 'High Street' }],
      ['PhoneGiven', { phone: '556' }],
    ]),
  );
});
