// "Every value valid by one schema is valid by the other", with ajv as the judge; and by hand, what is said where it is not so.
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { disjoint } from '../../src/schemas/disjoint.ts';
import { canonical, SchemaDocument } from '../../src/schemas/document.ts';
import { samplesOf } from '../../src/schemas/samples.ts';
import { breaksBetween } from '../../src/schemas/subset.ts';
import { isValid } from '../../src/schemas/valid.ts';
import { json, pairs, type Schema } from './random-schemas.ts';

const runs = process.env.TRUNKLINE_LONG ? 50_000 : 800;

const ajv = new Ajv2020({ strict: false, validateFormats: false, logger: false, validateSchema: false });

function judge(schema: Schema): ValidateFunction {
  const takes = ajv.compile(schema);
  ajv.removeSchema(schema);
  return takes;
}

const values = fc.array(json, { minLength: 20, maxLength: 20 });

test('what is called compatible is: no value that the one takes is refused by the other', () => {
  const counts = { compatible: 0, incompatible: 0, proven: 0 };
  fc.assert(
    fc.property(pairs, values, ([from, to], random) => {
      const isCompatible = breaksBetween(from, to).length === 0;
      const [takes, stillTakes] = [judge(from), judge(to)];
      const known = [...samplesOf(from), ...samplesOf(to), ...random].filter((value) => takes(value));
      const refused = known.filter((value) => !stillTakes(value));
      if (isCompatible && refused.length > 0) throw new Error(`refused: ${JSON.stringify(refused[0])}`);
      if (canonical(from) !== canonical(to)) counts[isCompatible ? 'compatible' : 'incompatible']++;
      if (refused.length > 0) counts.proven++;
    }),
    { numRuns: runs },
  );
  // It is of no use if it never dares to say so, and the samples are of none if they never find a break.
  expect(counts.compatible / runs).toBeGreaterThan(0.1);
  expect(counts.proven / counts.incompatible).toBeGreaterThan(0.4);
});

test('samples are valid, and a verdict is the one of the judge', () => {
  const verdicts = { told: 0, all: 0 };
  let found = 0;
  fc.assert(
    fc.property(pairs, values, ([schema], random) => {
      const takes = judge(schema);
      const samples = samplesOf(schema);
      if (samples.length > 0) found++;
      const wrong = samples.find((value) => !takes(value));
      if (wrong !== undefined) throw new Error(`no sample: ${JSON.stringify(wrong)}`);
      const document = new SchemaDocument(schema);
      for (const value of random) {
        const verdict = isValid(value, schema, document);
        verdicts.all++;
        if (verdict === undefined) continue;
        verdicts.told++;
        if (verdict !== takes(value)) throw new Error(`${verdict}: ${JSON.stringify(value)}`);
      }
    }),
    { numRuns: runs },
  );
  expect(found / runs).toBeGreaterThan(0.7);
  expect(verdicts.told / verdicts.all).toBeGreaterThan(0.9);
});

const jsonOf = (validator: z.ZodType): Schema =>
  (validator['~standard'] as any).jsonSchema.output({ target: 'draft-2020-12' });
const reasons = (from: Schema, to: Schema): string[] =>
  breaksBetween(from, to).map(({ path, reason }) => `${path} ${reason}`);

const tree = (value: z.ZodType): z.ZodType => {
  const one: z.ZodType = z.object({ value, kids: z.array(z.lazy(() => one)) });
  return one;
};
const shape = (size: z.ZodType) =>
  z.discriminatedUnion('kind', [z.object({ kind: z.literal('a'), size }), z.object({ kind: z.literal('b') })]);

/** What takes exponential time where each way through it is gone. */
const many = (v: z.ZodType) =>
  z.discriminatedUnion('k', Array.from({ length: 200 }, (_, i) => z.object({ k: z.literal(i), v })) as any);
const twenty = (more: object): Schema => ({
  ...{ type: 'object', additionalProperties: false, ...more },
  properties: Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`p${i}`, { $ref: '#' }])),
});
const doubled = (last: object): Schema => {
  const level = (i: number): object => ({ properties: { a: { $ref: `#/$defs/${i}` }, b: { $ref: `#/$defs/${i}` } } });
  const levels = Array.from({ length: 40 }, (_, i) => [i, i === 39 ? last : level(i + 1)]);
  return { ...level(0), $defs: Object.fromEntries(levels) };
};

describe('is taken', () => {
  test.each<[string, Schema, Schema]>([
    [
      'an optional field more',
      jsonOf(z.object({ a: z.string() })),
      jsonOf(z.object({ a: z.string(), b: z.int().optional() })),
    ],
    [
      'a required field that is optional now',
      jsonOf(z.object({ a: z.string() })),
      jsonOf(z.object({ a: z.string().optional() })),
    ],
    ['a value more in an enum', jsonOf(z.enum(['a'])), jsonOf(z.enum(['b', 'a']))],
    ['a constant in an enum', jsonOf(z.literal('a')), jsonOf(z.enum(['b', 'a']))],
    ['null beside it', jsonOf(z.object({ a: z.string() })), jsonOf(z.object({ a: z.string().nullable() }))],
    ['null as an alternative', { type: 'string' }, { oneOf: [{ type: 'null' }, { type: 'string' }] }],
    ['integers among numbers', jsonOf(z.int()), jsonOf(z.number())],
    [
      'wider bounds',
      { type: 'integer', exclusiveMinimum: 0, maximum: 5 },
      { type: 'number', minimum: 1, exclusiveMaximum: 6.5 },
    ],
    ['a multiple of a multiple', { type: 'integer', multipleOf: 6 }, { type: 'integer', multipleOf: 3 }],
    [
      'a pattern and a format that were dropped',
      jsonOf(z.object({ a: z.email() })),
      jsonOf(z.object({ a: z.string() })),
    ],
    ['each branch of a union', jsonOf(shape(z.int())), jsonOf(shape(z.number()))],
    ['a tree', jsonOf(tree(z.int())), jsonOf(tree(z.number()))],
    ['a tuple', jsonOf(z.tuple([z.int()])), jsonOf(z.tuple([z.number(), z.string().optional()]))],
    ['a list', jsonOf(z.array(z.int()).min(2)), jsonOf(z.array(z.number()).min(1))],
    ['a record', jsonOf(z.record(z.string(), z.int())), jsonOf(z.record(z.string(), z.number()))],
    [
      'the older dialect of the same',
      (z.tuple([z.int()])['~standard'] as any).jsonSchema.output({ target: 'draft-07' }),
      jsonOf(z.tuple([z.number()])),
    ],
    ['each of two hundred alternatives', jsonOf(many(z.int())), jsonOf(many(z.number()))],
    ['a schema that refers to itself twenty times', twenty({ minProperties: 1 }), twenty({})],
    ['forty levels, each named twice', doubled({ type: 'string' }), doubled({ type: ['string', 'null'] })],
    [
      'both halves of an intersection',
      { allOf: [{ minimum: 1 }, { type: 'integer' }] },
      { type: 'number', minimum: 0 },
    ],
    ['booleans one by one', { type: 'boolean' }, { enum: [true, false, null] }],
    [
      'patterns of names that are the same',
      { patternProperties: { '^x': { type: 'integer' } } },
      { patternProperties: { '^x': { type: 'number' } } },
    ],
  ])('%s', (_, from, to) => {
    expect(reasons(from, to)).toEqual([]);
    expect(reasons(to, from)).not.toEqual([]);
  });
});

describe('is refused', () => {
  test.each<[string, Schema, Schema, string[]]>([
    [
      'a field that is required now',
      jsonOf(z.object({})),
      jsonOf(z.object({ 'a b': z.string() })),
      ['$["a b"] is required now'],
    ],
    [
      'a field that is gone, of a closed object',
      jsonOf(z.object({ a: z.object({ b: z.int() }) })),
      jsonOf(z.object({ a: z.object({}) })),
      ['$.a.b is not taken any more'],
    ],
    [
      'a field more, of an open object',
      { type: 'object', properties: {} },
      { type: 'object', properties: { a: { type: 'string' } } },
      ['$.a null, boolean, object, array, integer, number is not taken any more'],
    ],
    [
      'other fields',
      { type: 'object' },
      { type: 'object', additionalProperties: false },
      ['$.* is not taken any more'],
    ],
    [
      'a value less in an enum',
      jsonOf(z.array(z.enum(['a', 'b']))),
      jsonOf(z.array(z.enum(['a']))),
      ['$[*] "b" is not taken any more'],
    ],
    ['an enum in the place of a text', jsonOf(z.string()), jsonOf(z.enum(['a'])), ['$ only ["a"] is taken now']],
    [
      'numbers that are integers now',
      jsonOf(z.tuple([z.number()])),
      jsonOf(z.tuple([z.int()])),
      ['$[0] number is not taken any more'],
    ],
    [
      'a tighter bound',
      { type: 'number', minimum: 1 },
      { type: 'number', exclusiveMinimum: 1 },
      ['$ it is above 1 now'],
    ],
    [
      'lengths',
      { type: 'string', minLength: 1 },
      { type: 'string', minLength: 2, maxLength: 9 },
      ['$ its minLength is 2 now', '$ its maxLength is 9 now'],
    ],
    [
      'in one branch of a union',
      jsonOf(shape(z.string())),
      jsonOf(shape(z.string().max(5))),
      ['$.size its maxLength is 5 now'],
    ],
    [
      'deep in a tree',
      jsonOf(tree(z.string())),
      jsonOf(tree(z.string().max(5))),
      expect.arrayContaining(['$.value its maxLength is 5 now']),
    ],
    [
      'another pattern',
      { type: 'string', pattern: 'a' },
      { type: 'string', pattern: 'b' },
      ['$ cannot tell: its pattern has changed'],
    ],
    ['a format', { type: 'string' }, { type: 'string', format: 'email' }, ['$ cannot tell: it has a format now']],
    [
      'other patterns of names',
      { patternProperties: { a: true } },
      { patternProperties: { b: { type: 'string' } } },
      ['$.* cannot tell: the patterns of its properties have changed'],
    ],
    [
      'a keyword that is not known',
      {},
      { if: { type: 'string' }, else: { minLength: 1 } },
      ['$ cannot tell: it has the keyword if', '$ cannot tell: it has the keyword else'],
    ],
    ['a reference out of the schema', {}, { $ref: 'other.json' }, ['$ cannot tell: a $ref leads out of the schema']],
    [
      'a reference to itself',
      { type: 'string' },
      { anyOf: [{ $ref: '#' }] },
      ['$ cannot tell: a schema is nothing but a reference to itself'],
    ],
    [
      'properties that a pattern took, and that are other ones now',
      { patternProperties: { '^x': { type: 'string' } }, additionalProperties: { type: 'integer' } },
      { additionalProperties: { type: 'integer' } },
      ['$.* null, boolean, object, array, string, number is not taken any more'],
    ],
    [
      'the same alternative twice',
      { type: 'string' },
      { oneOf: [true, true] },
      ['$ cannot tell: whether exactly one of 2 alternatives takes it'],
    ],
    [
      'a number that two of oneOf take',
      { type: 'number', minimum: 0, maximum: 3 },
      {
        oneOf: [
          { type: 'number', maximum: 3 },
          { type: 'number', minimum: 3 },
        ],
      },
      ['$ cannot tell: whether exactly one of 2 alternatives takes it'],
    ],
    [
      'an object without the property by which alternatives of oneOf differ',
      { type: 'object', properties: { a: { const: 1 } }, additionalProperties: false },
      { oneOf: [1, 2].map((a) => ({ type: 'object', properties: { a: { const: a } } })) },
      ['$ cannot tell: whether exactly one of 2 alternatives takes it'],
    ],
    [
      'alternatives that are too many',
      { anyOf: Array.from({ length: 400 }, (_, i) => ({ const: i })) },
      { type: 'string' },
      ['$ cannot tell: the comparison ended at its bound of 256 alternatives'],
    ],
    [
      'alternatives that refer to one another, and mean nothing of their own',
      { anyOf: [{ $ref: '#' }, { type: 'string' }] },
      { type: 'string' },
      ['$ cannot tell: a $ref leads out of the schema, or to itself'],
    ],
    [
      'the integer behind a bound that is left out',
      { type: 'integer', exclusiveMinimum: 0 },
      { type: 'integer', minimum: 2 },
      ['$ it is at least 2 now'],
    ],
    [
      'a name of records',
      jsonOf(z.record(z.string(), z.int())),
      jsonOf(z.record(z.string().max(3), z.int())),
      ['$.*~ its maxLength is 3 now'],
    ],
  ])('%s', (_, from, to, found) => expect(reasons(from, to)).toEqual(found));
});

test('names of the user that are keywords too are no annotations', () => {
  const words = ['title', 'description', 'default', 'examples', 'x-kind', '$comment'];
  for (const name of words) {
    for (const keyword of ['dependentRequired', 'dependencies', 'unknown']) {
      const [had, now] = [{}, { [name]: ['b'] }].map((more) => ({ [keyword]: { a: ['b'], ...more } }));
      expect([name, keyword, reasons(had!, now!).length]).toEqual([name, keyword, 1]);
      expect(reasons(now!, now!)).toEqual([]);
    }
    const [had, now] = [{}, { [name]: ['b'] }].map((more) => ({ dependentRequired: { a: ['b'], ...more } }));
    const [both, less] = [now!, had!].map((one) => ({ allOf: [one, { type: 'object' }] }));
    expect([name, reasons(both!, now!), reasons(less!, now!).length]).toEqual([name, [], 1]);
    // An annotation within schemas counts for nothing, wherever they stand.
    for (const keyword of ['properties', 'dependentSchemas', '$defs'])
      expect(canonical({ [keyword]: { a: { [name]: 'b' } } })).toBe(canonical({ [keyword]: { a: {} } }));
    for (const keyword of ['items', 'not', 'if', 'contains', 'additionalProperties', 'unevaluatedItems'])
      expect(canonical({ [keyword]: { [name]: 'b' } })).toBe(canonical({ [keyword]: {} }));
    expect(canonical({ const: { [name]: 1 } })).not.toBe(canonical({ const: {} }));
  }
});

describe('a union of many alternatives', () => {
  /** With a tag behind ten fields that all of them have. */
  const alternative = (i: number, minLength: number): Schema => ({
    type: 'object',
    properties: {
      ...Object.fromEntries(Array.from({ length: 10 }, (_, j) => [`f${j}`, { type: 'object', required: ['z'] }])),
      ...{ kind: { const: `k${i}` }, a: { type: 'string', minLength } },
    },
    required: [...Array.from({ length: 10 }, (_, j) => `f${j}`), 'kind', 'a'],
  });
  const union = (count: number, minLength: number): Schema => ({
    oneOf: Array.from({ length: count }, (_, i) => alternative(i, minLength)),
  });

  test('is compared by its tag: a pair costs one more, whatever else is in it', () => {
    const [one, other] = [new SchemaDocument(alternative(1, 0)), new SchemaDocument(alternative(2, 0))];
    const [branch] = one.branches([one.root]).branches;
    const pairs = { left: 100 };
    expect(disjoint([branch!, one], other.root, other, pairs)).toBe(true);
    expect(pairs.left).toBe(98);
    expect(disjoint([branch!, one], other.root, other, { left: 1 })).toBe(false); // not known
    expect(breaksBetween(union(240, 1), union(240, 0))).toEqual([]);
    expect(breaksBetween(union(240, 0), union(240, 1))).toMatchObject([{ path: '$.a' }]);
  });

  test('more of them than are looked at one by one count as broken', () => {
    expect(breaksBetween(union(480, 1), union(480, 0))).toMatchObject([
      { reason: 'cannot tell: the comparison ended at its bound of 256 alternatives' },
    ]);
  });

  test('and so do the schemas that one is made of', () => {
    const nested = { allOf: Array.from({ length: 6000 }, (_, i) => ({ title: `t${i}` })), type: 'string' };
    expect(breaksBetween({ allOf: [nested, { minLength: 2 }] }, { type: 'string', minLength: 3 })).toMatchObject([
      { reason: 'cannot tell: the comparison ended at its bound of 5000 schemas within one' },
    ]);
  });
});
