// What handlers and readers are given is their own: what they change in it, whatever that is, changes nothing that is kept, and
// nothing that others are given.
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Counter } from '../runtime/aggregates.ts';
import { Courier } from '../runtime/courier.ts';
import { scratchFolder, startSmall as startRuntime, until } from '../runtime/scratch.ts';

interface Row {
  sum: number;
  parts: { count: number };
}

/** Into every object of it that can be changed: what JSON cannot carry, and another value for every field. */
function spoil(value: unknown, seen = new Set<unknown>()): void {
  if (typeof value !== 'object' || value === null || seen.has(value)) return;
  seen.add(value);
  for (const one of Object.values(value)) spoil(one, seen);
  for (const key of Object.keys(value)) Reflect.set(value, key, 'spoilt');
  Reflect.set(value, 'exact', 1n);
  Reflect.set(value, 'self', value);
}

const asText = (value: unknown): string => JSON.stringify(value);

test('an attempt that changes what it has read, and fails, leaves nothing of it: tried again, parked, or neither put', async () => {
  const runtime = await startRuntime({ handlers: { checkpointDelayMs: 20 } });
  const fold = async (tx: any, failing: boolean, mayPut = true): Promise<void> => {
    const row: Row = (await tx.get('rows', 'all')) ?? { sum: 0, parts: { count: 0 } };
    row.sum++;
    row.parts.count++;
    const again: Row | undefined = await tx.get('rows', 'all');
    if (again) again.parts.count = 1000;
    if (failing) {
      spoil(row);
      throw new Error('after its changes');
    }
    if (mayPut) tx.put('rows', 'all', row);
    row.sum = 2000;
    spoil(mayPut && (await tx.get('rows', 'all')));
  };
  const retry = { attempts: 3, minDelayMs: 0, maxDelayMs: 1 };
  const tables = { retried: 10, parked: 9, idle: 1 };
  const settings = { onExhausted: 'park-event', breaker: false } as const;
  const named = (tx: any, name: string): any => ({
    get: (_: string, key: string) => tx.get(name, key),
    put: (_: string, key: string, value: unknown) => tx.put(name, key, value),
  });
  const all = [
    runtime.subscribe({
      ...settings,
      name: 'retried',
      retry,
      handle: (event, { tx, attempt }) => fold(named(tx, 'retried'), event.version % 3 === 0 && attempt < 3),
    }),
    runtime.subscribe({
      ...settings,
      name: 'parked',
      retry: { attempts: 1 },
      handle: (event, { tx }) => fold(named(tx, 'parked'), event.version === 10),
    }),
    runtime.subscribe({
      ...settings,
      name: 'idle',
      handle: (event, { tx }) => fold(named(tx, 'idle'), false, event.version === 1),
    }),
  ];
  const receipts = await Promise.all(Array.from({ length: 10 }, () => runtime.ref(Counter, 'a').add(1)));
  for (const subscription of all) await subscription.caughtUpTo(receipts.at(-1)!);
  for (const [table, sum] of Object.entries(tables)) {
    expect([table, await runtime.effect(table, 'all')]).toEqual([table, { sum, parts: { count: sum } }]);
  }
});

test('every door hands out copies: what a reader makes of one is seen by no other, and keeps nothing from being kept', async () => {
  const dataDir = scratchFolder();
  const file = `${dataDir}-fails`;
  writeFileSync(file, '');
  const lines: string[] = [];
  const logger = { debug() {}, info() {}, warn() {}, error: (_: unknown, line: string) => void lines.push(line) };
  const messages = { retry: { attempts: 1, minDelayMs: 0 } };
  const start = () => startRuntime({ dataDir, aggregates: [Counter, Courier], messages, logger });
  const runtime = await start();
  const { deadLetters } = runtime;
  runtime.subscribe({
    name: 'failing',
    aggregates: [Counter],
    retry: { attempts: 1 },
    breaker: false,
    handle: () => Promise.reject(new Error('always')),
  });
  const rows = runtime.project<Row>({
    name: 'rows',
    aggregates: [Counter],
    init: () => ({ sum: 0, parts: { count: 0 } }),
    apply: ({ sum, parts }) => ({ sum: sum + 1, parts: { count: parts.count + 1 } }),
  });
  await runtime.once('fill', (tx) => tx.put('kept', 'a', { n: 1, parts: [{ n: 2 }] }));
  await runtime.ref(Courier, 'a').send('b', ['what'], 'takeUnless', file);
  await rows.caughtUpTo(await runtime.ref(Counter, 'a').add(1));
  const [message] = await until(
    () => deadLetters.messages.list(),
    ({ length }) => length === 1,
  );
  const [letter] = await until(
    () => deadLetters.list(),
    ({ length }) => length === 1,
  );
  let calls = 0;
  const result = async (): Promise<unknown> => ({ paid: 1, parts: [{ call: ++calls }] });
  const doors: Record<string, () => Promise<unknown>> = {
    effect: () => runtime.effect('kept', 'a'),
    effects: () => runtime.effects.range('kept'),
    'tx.get': () => runtime.once(`get ${++calls}`, (tx) => tx.get('kept', 'a')),
    once: () => runtime.once('shared', result),
    'deadLetters.list': () => deadLetters.list(),
    'deadLetters.show': () => deadLetters.show(letter!.id),
    'deadLetters.edit': () => deadLetters.edit(letter!.id, { amount: 1 }),
    'messages.list': () => deadLetters.messages.list(),
    'messages.show': () => deadLetters.messages.show(message!.id),
    'projection.get': () => rows.get('a'),
    'projection.entries': () => rows.entries(),
  };
  const before = new Map<string, string>();
  for (const [door, read] of Object.entries(doors)) {
    const [one, other] = await Promise.all([read(), read()]);
    const first = asText(other);
    spoil(one);
    expect([door, asText(other)]).toEqual([door, first]);
    expect([door, asText(await read())]).toEqual([door, first]);
    before.set(door, first);
  }
  expect(await runtime.once('afterwards', () => 1)).toBe(1);
  await runtime.close();
  const next = await start();
  const again: Record<string, () => Promise<unknown>> = {
    effects: () => next.effects.range('kept'),
    once: () => next.once('shared', result),
    'deadLetters.list': () => next.deadLetters.list(),
    'messages.list': () => next.deadLetters.messages.list(),
  };
  const edited = before.get('deadLetters.list')!.replace('"edited":false', '"edited":true');
  before.set('deadLetters.list', edited);
  for (const [door, read] of Object.entries(again)) {
    expect([door, asText(await read())]).toEqual([door, before.get(door)]);
  }
  expect(await next.once('afterwards', () => 2)).toBe(1);
  expect(lines.filter((line) => /^keeping|refuses/.test(line))).toEqual([]);
});
