// A program's aggregates as plain data: every version with its JSON Schema, or the reason why there is none.
import { defineAggregate, event, versions } from 'trunkline';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { describeAggregates } from '../../src/schemas/describe.ts';

const string = { type: 'string' };
const body = (properties: object): object => ({
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  ...{ type: 'object', properties, required: Object.keys(properties), additionalProperties: false },
});

/** A validator of another vendor: `output` decides. */
const standard = (output?: (options: { target: string }) => unknown): any => ({
  '~standard': { version: 1, vendor: 'other', validate: (value: unknown) => ({ value }), jsonSchema: { output } },
});

const one = (events: Record<string, any>, retired: string[] = []) => {
  const evolve = Object.fromEntries(Object.keys(events).map((type) => [type, (state: unknown) => state]));
  const spec = {
    module: import.meta.url,
    state: () => 0,
    events,
    evolve: evolve as any,
    commands: {},
    retired,
    renamedFrom: ['client'],
  };
  return describeAggregates([defineAggregate('customer', spec)])[0]!;
};

test('versions, names and splits are told, sorted, and survive JSON', () => {
  const old = versions(z.object({ all: z.string() })).next((from: any) => from);
  const described = one(
    {
      Signed: versions(z.object({ name: z.string() }))
        .next(z.object({ given: z.string() }), ({ name }) => ({ given: name }), {
          down: ({ given }) => ({ name: given }),
        })
        .next((from: any) => from)
        .renamedFrom('Registered')
        .retired(1),
      Moved: event(z.object({ street: z.string() }))
        .splitFrom('Contact', old, () => [])
        .splitFrom('Plain', () => []),
    },
    ['Zeal', 'Greeted'],
  );
  const typeAlone = { reason: 'it is declared without a validator' };
  const dialect = 'draft-2020-12';
  const plain = { schemaVersion: 1, payload: { dialect, schema: body({ all: string }) }, hasDown: false };
  expect(described).toEqual({
    name: 'customer',
    storedName: 'client',
    formerNames: ['client'],
    retired: ['Greeted', 'Zeal'],
    events: [
      {
        ...{ type: 'Moved', schemaVersion: 1, lowest: 1, formerNames: [] },
        versions: [{ schemaVersion: 1, payload: { dialect, schema: body({ street: string }) }, hasDown: false }],
        splits: [
          { type: 'Contact', versions: [plain, { schemaVersion: 2, payload: typeAlone, hasDown: false }], lowest: 1 },
          { type: 'Plain', versions: [], lowest: 1 },
        ],
      },
      {
        ...{ type: 'Signed', schemaVersion: 3, lowest: 2, formerNames: ['Registered'], splits: [] },
        versions: [
          { schemaVersion: 1, payload: { dialect, schema: body({ name: string }) }, hasDown: false },
          { schemaVersion: 2, payload: { dialect, schema: body({ given: string }) }, hasDown: true },
          { schemaVersion: 3, payload: typeAlone, hasDown: false },
        ],
      },
    ],
  });
  expect(JSON.parse(JSON.stringify(described))).toEqual(described);
});

test.each<[string, any, unknown]>([
  ['a type alone', undefined, { reason: expect.stringContaining('without a validator') }],
  ['a date', z.object({ at: z.date() }), { reason: expect.stringMatching(/\(zod\) cannot tell.*Date/) }],
  ['a transform', z.string().transform(Number), { reason: expect.stringMatching(/\(zod\) cannot tell.*ransform/) }],
  ['one that has none', standard(), { reason: 'its validator (other) gives no JSON Schema' }],
  ['one that says nothing', standard(() => undefined), { reason: expect.stringContaining('cannot tell') }],
  [
    'one that is a circle',
    standard(() => {
      const a: any = {};
      a.a = a;
      return a;
    }),
    { reason: expect.stringContaining('circular') },
  ],
  [
    'one that knows the older dialect',
    standard(({ target }) => {
      if (target !== 'draft-07') throw new Error('unknown');
      return { type: 'object' };
    }),
    { dialect: 'draft-07', schema: { type: 'object' } },
  ],
])('%s', (_, validator, payload) => {
  expect(one({ Seen: event(validator as undefined) }).events[0]!.versions[0]!.payload).toEqual(payload);
});
