// Ids, types, metadata and payloads as attackers would write them: carried as they are, or refused by name; nothing outside
// of the data directory is touched, no prototype is changed, and no secret reaches an error or a log line.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { isError, type RuntimeOptions, TrunklineError } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, startRuntime } from '../runtime/scratch.ts';

const hostile = [
  "'; DROP TABLE domain_events; --",
  '../../../../etc/passwd',
  '..\\..\\windows',
  '/etc/shadow',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'a\r\nSet-Cookie: b=c',
  'a\tb',
  '$' + '{jndi:ldap://x}',
  '%00%2e%2e%2f',
  '<script>alert(1)</script>',
  '\u202ereversed',
  'ﬁ ligature',
  'x'.repeat(255),
  '😀'.repeat(60),
  'null',
  '-0',
];

test('ids come back as they were sent, each an aggregate of its own, and touch nothing but the data directory', async () => {
  const dataDir = scratchFolder();
  const before = readdirSync(dirname(dataDir));
  const runtime = await startRuntime({ dataDir });
  for (const id of hostile) {
    expect(await runtime.ref(Counter, id).with({ idempotencyKey: id }).add(1)).toMatchObject({ value: 1, version: 1 });
    expect(await runtime.ref(Counter, id).with({ idempotencyKey: id }).add(1)).toMatchObject({ value: 1, version: 1 });
  }
  for (const id of hostile) {
    const events = await runtime.store.getByAggregate(Counter, id);
    expect(events.map(({ aggregateId, version }) => [aggregateId, version])).toEqual([[id, 1]]);
  }
  await runtime.close();
  const added = readdirSync(dirname(dataDir)).filter((name) => !before.includes(name));
  expect(added).toEqual(['data']);
  expect(statSync(dataDir).mode & 0o777).toBe(0o700);
  for (const name of ['log', 'store']) expect(statSync(join(dataDir, name)).mode & 0o077).toBe(0);
  expect(existsSync(join(dataDir, '..', 'etc'))).toBe(false);
});

test('types of entities, types of events, metadata and payloads: the same', async () => {
  const runtime = await startRuntime();
  const data = JSON.parse(
    '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"toJSON":"no"}',
  );
  let refused = 0;
  for (const [i, text] of hostile.entries()) {
    const type = [...text].slice(0, 25).join('');
    const event = { aggregateType: type, aggregateId: `e${i}`, type, data, metadata: { [text]: text } };
    try {
      await runtime.publisher.publish(event);
    } catch (error) {
      expect(isError(error, 'InvalidId')).toBe(true); // control characters
      refused++;
      continue;
    }
    const [stored] = await runtime.store.getByAggregate(type, `e${i}`);
    expect(stored!.type).toBe(type);
    expect(JSON.stringify(stored!.data)).toBe(JSON.stringify(data));
    expect(Object.entries(stored!.metadata)).toEqual([[text, text]]);
  }
  expect(refused).toBeLessThan(hostile.length / 2);
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
});

test('huge and deep payloads are taken or refused by name, and the next command goes on', async () => {
  const runtime = await startRuntime({ flush: { ringBytes: 1 << 20 } });
  const counter = runtime.ref(Counter, 'a');
  const codes = ['CommandTooLarge', 'UnserialisableValue'];
  expect(codes).toContain((await errorOf(counter.label('x'.repeat(1 << 21)))).code);
  let deep: unknown = 'bottom';
  for (let i = 0; i < 100_000; i++) deep = [deep];
  expect(codes).toContain((await errorOf(counter.raiseAnything('Added', deep))).code);
  const wide = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`key ${i}`, i]));
  await counter.raiseAnything('Added', { amount: 1, wide });
  expect((await counter.add(1)).version).toBe(2);
});

test('names of commands and of types that objects are born with are unknown here', async () => {
  const runtime = await startRuntime();
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'then']) {
    expect((await errorOf(runtime.command('counter', 'a', name, []))).code).toBe('UnknownCommand');
    expect((await errorOf(runtime.command(name, 'a', 'add', [1]))).code).toBe('UnknownAggregateType');
    expect((await errorOf(runtime.ref(Counter, 'a').raiseAnything(name, {}))).code).toBe('UnknownEventType');
  }
});

test('a secret in the options of a sink reaches no error and no log line', async () => {
  const secret = 'hunter2-0451';
  const lines: string[] = [];
  const log = (...words: unknown[]): void => void lines.push(show(words));
  const logger = { debug: log, info: log, warn: log, error: log } as unknown as RuntimeOptions['logger'];
  const sinks = [
    {
      name: 'broken',
      module: import.meta.resolve('./sink.ts').replace('sink.ts', 'no-such-sink.ts'),
      options: { secret },
    },
  ];
  const error = await errorOf(startRuntime({ sinks, logger }));
  expect(error).toBeInstanceOf(TrunklineError);
  expect(show([error, error.details, error.message])).not.toContain(secret);
  expect(lines.join('\n')).not.toContain(secret);
});

const show = (words: unknown[]): string =>
  words.map((word) => (word instanceof Error ? `${word.stack} ${show([word.cause])}` : JSON.stringify(word))).join(' ');
