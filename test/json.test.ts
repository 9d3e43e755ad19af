// JSON and rows that are read back: each kind by a shape of its own, never by a cast. What does not fit is named where it is read.
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseSync, Visitor } from 'oxc-parser';
import { expect, test } from 'vitest';
import {
  anything,
  big,
  bytes,
  checked,
  checkedJson,
  date,
  exactly,
  flag,
  keptJson,
  list,
  listFrom,
  listOf,
  nullable,
  number,
  object,
  oneOf,
  optional,
  record,
  type Shape,
  text,
  tuple,
} from '../src/base/json.ts';
import { letterOf } from '../src/dead-letters/letters.ts';
import { checkpointIn } from '../src/handler-state/checkpoint.ts';
import { outcomeIn } from '../src/model/receipt.ts';
import { placeIn } from '../src/outbox/outbox.ts';
import { keptProjectionOf } from '../src/projections/projection.ts';
import { messageOf } from '../src/wire/message.ts';
import { metadataIn } from '../src/wire/metadata.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

test.each<[string, Shape<unknown>, unknown[], unknown[]]>([
  ['text', text, ['', 'a'], [0, null, undefined, {}]],
  ['number', number, [0, 1.5], ['1', null, undefined]],
  ['flag', flag, [true, false], [0, 'true', undefined]],
  ['big', big, ['12', 12, 12n], [null, undefined, {}]],
  ['date', date, [new Date(0)], ['2026-01-01', 0]],
  ['bytes', bytes, [Buffer.alloc(1)], [[1], 'a']],
  ['anything', anything, [undefined, null, {}], []],
  ['optional', optional(text), [undefined, 'a'], [null, 1]],
  ['nullable', nullable(text), [null, 'a'], [undefined, 1]],
  ['one of', oneOf('a', 'b'), ['a'], ['c', undefined]],
  ['exactly', exactly(true), [true], [false, 1]],
  ['record', record, [{}, { a: 1 }], [null, [], 'a']],
  ['list', list, [[], [1, 'a']], [{}, null]],
  ['list of', listOf(number), [[], [1, 2]], [{}, [1, '2']]],
  ['tuple', tuple(text, number), [['a', 1]], [['a'], ['a', 1, 2], [1, 'a']]],
  ['list from', listFrom([text], number), [['a'], ['a', 1, 2]], [[], ['a', 'b']]],
  [
    'object',
    object<{ a: string; b?: number }>({ a: text, b: optional(number) }),
    [{ a: '' }, { a: '', c: 1 }],
    [{}, []],
  ],
])('%s', (_, shape, good, bad) => {
  for (const value of good) expect([value, shape(value)]).toEqual([value, undefined]);
  for (const value of bad) expect([value, shape(value)]).toEqual([value, expect.stringMatching(/\bmust be\b/)]);
});

const good = {
  outcome: { command: 'add', events: 1, expiresAt: 5, value: 3 },
  checkpoint: { low: 4, done: [6, 7], updatedAt: '2026-01-01T00:00:00Z' },
  place: { batch: 1, sequence: 2 },
  projection: { shown: { version: 1, generation: 2, table: '"s"."t"' } },
  letter: {
    ...{ handler: 'billing', reason: 'failed', attempts: 2, parkedAt: '2026-01-01T00:00:00Z' },
    event: { id: 'x', type: 'Added', aggregateType: 'counter', aggregateId: 'a', position: 3 },
    error: { name: 'Error', message: 'broken', stack: '' },
  },
  message: {
    ...{ aggregateType: 'counter', aggregateId: 'a', id: 'x', position: 1, command: 'add' },
    ...{ inputJson: '[]', metadataJson: '', sender: { aggregateType: 'counter', aggregateId: 'b' } },
  },
};
const readers: Record<keyof typeof good, (value: unknown) => unknown> = {
  outcome: (value) => outcomeIn(JSON.stringify(value)),
  checkpoint: (value) => checkpointIn(JSON.stringify(value), 'billing'),
  place: (value) => placeIn(JSON.stringify(value)),
  projection: (value) => keptProjectionOf(value, 'totals'),
  letter: letterOf,
  message: messageOf,
};

/** Every value within, each in its turn as something else. */
function* spoilt(value: object): Generator<{ at: string; made: unknown }> {
  for (const [name, part] of Object.entries(value)) {
    const rest = Array.isArray(value) ? [...value] : { ...value };
    if (typeof part === 'object')
      for (const { at, made } of spoilt(part)) yield { at, made: { ...rest, [name]: made } };
    else if (typeof part === 'string' || typeof part === 'number') {
      yield { at: name, made: { ...rest, [name]: { odd: true } } };
    }
  }
  yield { at: 'all', made: 'odd' };
}

test.each(Object.keys(good) as (keyof typeof good)[])(
  'a kept %s is read if it is whole, and named if it is not',
  (kind) => {
    expect(readers[kind](good[kind])).toEqual(good[kind]);
    const faults = [...spoilt(good[kind])].filter(({ at }) => at !== 'value' && at !== 'position');
    expect(faults.length).toBeGreaterThan(2);
    for (const { at, made } of faults) {
      let error: unknown;
      try {
        readers[kind](made);
      } catch (thrown) {
        error = thrown;
      }
      expect([at, error]).toEqual([at, expect.objectContaining({ code: 'RecordInvalid' })]);
    }
  },
);

test('what is no JSON says so, without its text', () => {
  for (const read of [
    () => keptJson('{"secret'),
    () => checkedJson('{"secret', text, 'x'),
    () => metadataIn('{"secret'),
  ]) {
    expect(read).toThrow(
      expect.objectContaining({ code: 'RecordInvalid', message: expect.not.stringContaining('secret') }),
    );
  }
  expect(() => checked({ a: [1, 'x'] }, object({ a: listOf(number) }), 'a record')).toThrow(
    'a record cannot be understood: its a[1] must be a number, and is string',
  );
});

/** Where a cast of such a value stands, with the reason. */
const casts: Readonly<Record<string, string>> = {
  'src/base/json.ts': 'behind the check itself',
  'src/base/foreign-file.ts': 'fields of anything, each unknown',
  'src/base/known-fields.ts': 'a kind that was just looked at',
  'src/base/thenable.ts': 'of the user’s, looked at',
  'src/log/run-manifest.ts': 'within its own check',
  'src/projections/local-projection.ts': 'rows of the user’s',
  'src/runtime/request-files.ts': 'behind its own check',
  'src/wire/payload.ts': 'of the user’s, looked at',
  'src/adapters/postgres/session/statement.ts': 'behind the check itself',
};

/** Names that values have which were read back. */
const readBack = /^(?:rows?|value|kept|record|entry|found|json|parsed|answer|stored)$/;
const readers_ = /^(?:keptJson|userJson|checkedJson|parseJson|parse)$/;

test('JSON is parsed in one place; what it gives, and what a server gives, is not cast', () => {
  const parsers: string[] = [];
  const found: string[] = [];
  for (const file of globSync('src/**/*.ts', { cwd: root })) {
    const code = readFileSync(`${root}/${file}`, 'utf8');
    const note = (node: { start: number; end: number }): void => {
      if (!Object.hasOwn(casts, file)) found.push(`${file}: ${code.slice(node.start, node.end)}`);
    };
    new Visitor({
      CallExpression({ callee }) {
        if (callee.type !== 'MemberExpression' || callee.object.type !== 'Identifier') return;
        if (callee.object.name === 'JSON' && code.slice(callee.property.start, callee.property.end) === 'parse') {
          parsers.push(file);
        }
      },
      TSAsExpression(node) {
        let inner: any = node.expression;
        while (
          ['ParenthesizedExpression', 'ChainExpression', 'AwaitExpression', 'TSAsExpression'].includes(inner.type)
        ) {
          inner = inner.expression ?? inner.argument;
        }
        const type = code.slice(node.typeAnnotation.start, node.typeAnnotation.end);
        if (type === 'const' || type === 'unknown' || type === 'object') return;
        if (inner.type === 'CallExpression') {
          const name = inner.callee.property?.name ?? inner.callee.name;
          if (readers_.test(name) || (name === 'query' && file.includes('postgres'))) note(node);
          return;
        }
        const name = inner.type === 'Identifier' ? inner.name : inner.property?.name;
        if (readBack.test(name ?? '')) note(node);
      },
    }).visit(parseSync(file, code).program);
  }
  expect([...new Set(parsers)].sort()).toEqual(['src/base/foreign-file.ts', 'src/base/json.ts']);
  expect(found.filter((one) => !one.startsWith('src/adapters/postgres/'))).toEqual([]);
});
