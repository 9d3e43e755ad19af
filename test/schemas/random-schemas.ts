// Random JSON Schemas, pairs of which one was made from the other by small changes, and values for both.
import fc from 'fast-check';

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type Schema = boolean | { [keyword: string]: any };

const names = ['a', 'b', 'c', 'x1'];
const texts = ['', 'a', 'ab', 'b', 'abc', 'x1', '0', 'é😀'];
const scalars: Json[] = [null, true, false, 0, 1, 2, 3, 6, -1, 0.5, 1.5, ...texts];

const small = fc.integer({ min: 0, max: 4 });
const some = (arbitrary: fc.Arbitrary<unknown>) => fc.option(arbitrary, { nil: undefined, freq: 2 });
const rarely = (arbitrary: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 7, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
const without = (fields: object): Schema =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

/** A value of any kind, small, with the names and texts that schemas use. */
export const json: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    { weight: 3, arbitrary: fc.constantFrom(...scalars) },
    { weight: 1, arbitrary: fc.array(tie('value'), { maxLength: 3 }) },
    {
      weight: 2,
      arbitrary: fc.dictionary(fc.constantFrom(...names), tie('value'), { maxKeys: 4, noNullPrototype: true }),
    },
  ),
})).value;

const text = fc
  .record({ minLength: some(small), maxLength: some(small), pattern: some(fc.constantFrom('^a', 'b$', '^[ab]*$')) })
  .map((fields) => without({ type: 'string', ...fields }));
const number = fc
  .record({
    type: fc.constantFrom('integer', 'number'),
    ...{ minimum: some(small), maximum: some(small) },
    ...{ exclusiveMinimum: some(fc.constantFrom(-1, 0, 0.5, 1)), exclusiveMaximum: some(fc.constantFrom(2, 3, 3.5)) },
    multipleOf: some(fc.constantFrom(1, 2, 3, 0.5)),
  })
  .map(without);
const values = fc.oneof(
  fc.uniqueArray(fc.constantFrom(...scalars), { minLength: 1, maxLength: 4 }).map((list): Schema => ({ enum: list })),
  json.map((value): Schema => ({ const: value })),
);
const kinds = fc
  .uniqueArray(fc.constantFrom('null', 'boolean', 'object', 'array', 'string', 'integer', 'number'), {
    minLength: 1,
    maxLength: 3,
  })
  .map((list): Schema => ({ type: list }));

/** `inner`: within an object or a list, where a reference to what is around it ends with the value. */
const { top } = fc.letrec<{ top: Schema; inner: Schema; rest: Schema }>((tie) => {
  const object = fc
    .record({
      properties: some(fc.dictionary(fc.constantFrom(...names), tie('inner'), { maxKeys: 3, noNullPrototype: true })),
      required: some(fc.uniqueArray(fc.constantFrom(...names), { maxLength: 2 })),
      additionalProperties: some(tie('rest')),
      patternProperties: rarely(
        fc.dictionary(fc.constantFrom('^x', '1$', '^a'), tie('inner'), { maxKeys: 2, noNullPrototype: true }),
      ),
      propertyNames: rarely(fc.oneof(text, fc.constant({ enum: ['a', 'b'] }))),
      ...{
        minProperties: rarely(small),
        maxProperties: rarely(small),
      },
    })
    .map((fields) => without({ type: 'object', ...fields }));
  const list = fc
    .record({
      items: some(tie('rest')),
      prefixItems: rarely(fc.array(tie('inner'), { minLength: 1, maxLength: 2 })),
      ...{ minItems: some(small), maxItems: some(small), uniqueItems: some(fc.boolean()) },
      contains: rarely(tie('inner')),
    })
    .map((fields) => without({ type: 'array', ...fields }));
  const combined = (one: fc.Arbitrary<Schema>): fc.Arbitrary<Schema> =>
    fc
      .record({
        keyword: fc.constantFrom('anyOf', 'oneOf', 'allOf'),
        list: fc.array(one, { minLength: 1, maxLength: 3 }),
        beside: some(kinds),
      })
      .map(({ keyword, list, beside }) => ({ ...(beside as object), [keyword]: list }));
  const plain = [object, object, object, list, text, number, values, kinds, fc.constant({})];
  const depth = { maxDepth: 3, depthIdentifier: fc.createDepthIdentifier() };
  const leaf = fc.oneof(text, number, values, kinds);
  return {
    top: fc.oneof(
      depth,
      leaf,
      object,
      ...plain,
      combined(tie('top')),
      tie('top').map((not): Schema => ({ not, type: 'string' })),
    ),
    inner: fc.oneof(
      depth,
      leaf,
      ...plain,
      combined(tie('inner')),
      fc.constantFrom({ $ref: '#' }, { $ref: '#/$defs/n' }),
    ),
    rest: fc.oneof(depth, fc.boolean(), tie('inner')),
  };
});

const document = fc.tuple(top, top).map(([root, n]): Schema => ({ ...(root as object), $defs: { n } }));

/** A small change somewhere in a schema: `at` chooses the place, `what` the change. */
function changed(schema: Schema, at: number, what: number, other: Schema, isRoot = true): Schema {
  if (typeof schema === 'boolean') return what % 2 === 0 ? other : !schema;
  const places = Object.keys(schema).filter(
    (keyword) => !['type', 'enum', 'const', 'required', '$ref', 'pattern', 'uniqueItems'].includes(keyword),
  );
  const keyword = places[at % (places.length + 1)];
  const value = keyword === undefined ? undefined : schema[keyword];
  const deeper = (one: Schema): Schema => changed(one, Math.floor(at / 3), what, other, false);
  if (typeof value === 'number')
    return { ...schema, [keyword!]: Math.max(keyword === 'multipleOf' ? 1 : 0, value + (what % 2 === 0 ? 1 : -1)) };
  if (Array.isArray(value)) {
    const index = at % value.length;
    if (what % 5 === 0) return { ...schema, [keyword!]: [...value, other] };
    return { ...schema, [keyword!]: value.map((one, i) => (i === index ? deeper(one) : one)) };
  }
  if (['properties', 'patternProperties', '$defs'].includes(keyword!)) {
    const keys = Object.keys(value);
    if (keys.length === 0) return { ...schema, [keyword!]: { a: other } };
    const key = keys[at % keys.length]!;
    return { ...schema, [keyword!]: { ...value, [key]: deeper(value[key]) } };
  }
  if (value !== undefined) return { ...schema, [keyword!]: deeper(value) };
  return changedHere(schema, at, what, other, isRoot);
}

function changedHere(
  schema: { [keyword: string]: any },
  at: number,
  what: number,
  other: Schema,
  isRoot: boolean,
): Schema {
  const name = names[at % names.length]!;
  const { [Object.keys(schema)[at % 5] ?? '']: gone, ...fewer } = schema;
  const { $defs, ...rest } = schema;
  const around = (alternatives: Schema[], keyword: string): Schema => ({
    [keyword]: alternatives,
    ...($defs && { $defs }),
  });
  const ways: (() => Schema)[] = [
    () => ({ ...fewer, ...($defs && { $defs }) }),
    () => ({ ...schema, properties: { ...schema.properties, [name]: other } }),
    () => ({ ...schema, required: [...new Set([...(schema.required ?? []), name])] }),
    () => ({ ...schema, required: (schema.required ?? []).slice(1) }),
    () => (schema.enum ? { ...schema, enum: [...schema.enum, 'new'] } : { ...schema, enum: ['a', 1, null] }),
    () => ({ ...schema, type: schema.type === 'integer' ? 'number' : 'integer' }),
    () => around([rest, { type: 'null' }], 'anyOf'),
    () => around([{ type: 'null' }, rest], 'oneOf'),
    () => around([rest, { title: 'b' }], 'allOf'),
    () => ({ ...schema, additionalProperties: at % 2 === 0 }),
    () => (isRoot ? { ...schema, minProperties: 1 } : other),
    () => ({ ...schema, items: other }),
  ];
  return ways[what % ways.length]!();
}

/** Without references at its own level, so that it may stand anywhere. */
const leaf = fc.oneof(text, number, values, kinds, fc.boolean());

/** A schema, and one made from it by up to three small changes, or another one altogether. */
export const pairs: fc.Arbitrary<[from: Schema, to: Schema]> = fc.oneof(
  { weight: 1, arbitrary: fc.tuple(document, document) },
  {
    weight: 9,
    arbitrary: fc
      .tuple(document, fc.array(fc.tuple(fc.nat(200), fc.nat(60), leaf), { minLength: 1, maxLength: 3 }), fc.boolean())
      .map(([from, changes, isTurned]): [Schema, Schema] => {
        const to = changes.reduce<Schema>((schema, [at, what, other]) => changed(schema, at, what, other), from);
        return isTurned ? [to, from] : [from, to];
      }),
  },
);
