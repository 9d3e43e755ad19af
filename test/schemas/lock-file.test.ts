// The lock file: the same text for the same content, and what hands, merges and other releases may have made of it.
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { event, versions } from 'trunkline';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import { lockText, readLock, writeLock } from '../../src/schemas/lock-file.ts';
import { accepted, customer } from './define.ts';

const folder = mkdtempSync(join(tmpdir(), 'trunkline-lock-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = join(folder, 'events.lock.json');
const code = customer({
  Signed: versions(z.object({ name: z.string() }))
    .next<{ given: string }>(({ name }) => ({ given: name }))
    .retired(1),
  Moved: event(z.object({ to: z.string(), at: z.int() })),
  ['__proto__']: event<{ a: string }>(),
});
const { lock } = accepted(code);

test('written, read back and written again it is the same text, for diffs', () => {
  writeLock(file, lock);
  const again = readLock(file)!;
  expect(lockText(again)).toBe(lockText(lock));
  expect(again).toEqual(new Map([...lock].map(([name, events]) => [name, new Map([...events])])));
  expect(accepted(code, again)).toMatchObject({ broken: [], added: [] });
  expect(lockText(lock)).toMatch(
    /^\{\n {2}"format": 1,\n {2}"aggregates": \{\n {4}"customer": \{\n {6}"events": \{\n {8}"Moved": /,
  );
  expect(lockText(lock)).toMatch(/"__proto__": \{\n/);
});

test('the order in which a program declares things does not show', () => {
  const turned = customer({
    Moved: event(z.object({ at: z.int(), to: z.string() })),
    Signed: code[0]!.events.Signed,
    ['__proto__']: event<{ a: string }>(),
  });
  const text = (one: string): string => one.replaceAll(/"required": \[[^\]]*\]/g, '');
  expect(text(lockText(accepted(turned).lock))).toBe(text(lockText(lock)));
});

test('one that is not there is none', () => expect(readLock(join(folder, 'none'))).toBeUndefined());

const whole = { format: 1, aggregates: { customer: { events: { A: { versions: { 1: { schema: {} } } } } } } };
const withVersion = (version: unknown, key = '1'): object => ({
  format: 1,
  aggregates: { customer: { events: { A: { versions: { [key]: version } } } } },
});

test.each<[string, string | object, string | RegExp]>([
  [
    'conflict',
    `{\n  "format": 1,\n<<<<<<< HEAD\n  "aggregates": {}\n=======\n>>>>>>> other\n}`,
    /, line 3, has a conflict of git: take one side/,
  ],
  ['cut', JSON.stringify(whole).slice(0, -4), /is no JSON object/],
  ['a list', [], /is no JSON object/],
  ['deep', `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`, /nested too deep/],
  ['newer', { ...whole, format: 2 }, /has format 2, and this release reads 1; install the release that wrote it/],
  ['no format', { aggregates: {} }, /has no format number 1/],
  ['odd format', { ...whole, format: '1' }, /has no format number 1/],
  ['no aggregates', { format: 1 }, /has no aggregates/],
  ['odd aggregate', { format: 1, aggregates: { customer: [] } }, /aggregate 'customer': must be an object/],
  ['odd name', { format: 1, aggregates: { 'a\u0000b': { events: {} } } }, /aggregate .*holds a control character/],
  ['odd event', { format: 1, aggregates: { customer: { events: { A: 1 } } } }, /customer\.A: must be an object/],
  [
    'odd past',
    { format: 1, aggregates: { customer: { events: { A: { past: 'gone', versions: {} } } } } },
    /customer\.A: its past must be 'renamed' or/,
  ],
  ['odd version', withVersion({ schema: {} }, '1.5'), /customer\.A: '1.5' is no version/],
  ['version zero', withVersion({ schema: {} }, '0'), /'0' is no version/],
  ['high version', withVersion({ schema: {} }, '65536'), /'65536' is no version/],
  ['no schema', withVersion({}), /customer\.A, version 1: must have either schema or noSchema/],
  ['both', withVersion({ schema: {}, noSchema: '' }), /version 1: must have either/],
  ['odd schema', withVersion({ schema: 7 }), /version 1: its schema must be an object/],
  ['odd mark', withVersion({ schema: {}, retired: 'yes' }), /version 1: its retired must be true/],
])('%s', (name, content, reason) => {
  const odd = join(folder, name);
  writeFileSync(odd, typeof content === 'string' ? content : JSON.stringify(content));
  const refusal = {
    code: 'FileRefused',
    details: expect.objectContaining({ file: odd }),
    message: expect.stringMatching(reason),
  };
  expect(() => readLock(odd)).toThrow(expect.objectContaining(refusal));
});

test('a link is not followed', () => {
  symlinkSync(file, join(folder, 'link'));
  expect(() => readLock(join(folder, 'link'))).toThrow(/is a symbolic link/);
});

/** What a hand may write into a schema: nothing of it ends in an error that is not ours, or does not end. */
test.each([
  { $ref: '#' },
  { anyOf: [{ $ref: '#' }, { $ref: '#' }] },
  { allOf: [{ $ref: '#/allOf/0' }] },
  { $ref: '#/$defs/none' },
  { $ref: 'https://example.com/x' },
  { $ref: '#/%zz' },
  {
    properties: 7,
    required: 'x',
    enum: 'a',
    type: 7,
    items: 'x',
    anyOf: {},
    allOf: 1,
    patternProperties: { '(': true },
  },
  { type: 'object', properties: { a: { type: 'string', pattern: '(' } }, required: ['a'] },
  {
    type: 'object',
    properties: { a: { type: 'array', minItems: 1e9 }, b: { type: 'string', minLength: 1e12 } },
    required: ['a', 'b'],
  },
  { type: 'object', required: ['a'], properties: { a: { $ref: '#' } } },
  { type: 'array', items: { $ref: '#' }, minItems: 4 },
  { type: 'object', properties: Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`p${i}`, { $ref: '#' }])) },
  { anyOf: Array.from({ length: 400 }, (_, i) => ({ const: i })) },
])('a schema that was edited by hand is another one, and no more: %j', (schema) => {
  const edited = new Map([
    [
      'customer',
      new Map([['Moved', { past: undefined, now: undefined, versions: new Map([[1, { schema, isRetired: false }]]) }]]),
    ],
  ]);
  const changed = accepted(
    customer({ Moved: versions(z.object({ to: z.string() })).next(z.object({ to: z.string() }), (old) => old) }),
    edited,
  );
  expect(changed.broken.length).toBeGreaterThan(0);
  expect(changed.broken.every((line) => line.startsWith('customer.Moved, version 1, $'))).toBe(true);
});
