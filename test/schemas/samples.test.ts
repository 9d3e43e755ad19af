// What samples of a large schema cost, counted and not timed: how often a keyword of it is looked at.
import { expect, test } from 'vitest';
import { samplesOf } from '../../src/schemas/samples.ts';

const alternatives = 100;

/** Objects told apart by a constant, as a union of classes is written down. */
function union(keyword: 'oneOf' | 'anyOf', looked: () => void) {
  const one = (i: number) => {
    const fields = Array.from({ length: 10 }, (_, field) => [`field${field}`, { type: 'string' }]);
    const properties = { kind: { const: `kind${i}` }, ...Object.fromEntries(fields) };
    const schema = { type: 'object', properties, required: ['kind'], additionalProperties: false };
    return new Proxy(schema, {
      getOwnPropertyDescriptor: (target, key) => {
        looked();
        return Reflect.getOwnPropertyDescriptor(target, key);
      },
    });
  };
  return { [keyword]: Array.from({ length: alternatives }, (_, i) => one(i)) };
}

test.each(['oneOf', 'anyOf'] as const)(
  'a large %s: no value is held against the whole of each alternative',
  (keyword) => {
    let looks = 0;
    const found = samplesOf(union(keyword, () => looks++));
    expect(found).toHaveLength(50);
    expect(looks).toBeLessThan(alternatives * 8000);
    const ofAll = looks;
    looks = 0;
    const first = union(keyword, () => looks++);
    expect(samplesOf(first, 1)).toEqual(found.slice(0, 1));
    expect(looks).toBeLessThan(ofAll);
  },
);
