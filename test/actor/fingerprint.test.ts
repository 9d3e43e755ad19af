// What makes a snapshot another reducer's: any change of the first state, however far into it.
import { expect, test } from 'vitest';
import { defineAggregate } from '../../src/model/aggregate.ts';
import { reducerFingerprint } from '../../src/shard/evolve.ts';

const fingerprintOf = (first: unknown): string =>
  reducerFingerprint(
    defineAggregate('tariff', {
      module: import.meta.url,
      state: () => ({ first }),
      events: {},
      evolve: {},
      commands: {},
    } as never),
  );

const nested = (depth: number, leaf: number): unknown => (depth === 0 ? leaf : { next: nested(depth - 1, leaf) });

test.each([
  ['an item behind the hundredth', (last: number) => [...Array(149).fill(0), last]],
  ['the end of a long text', (last: number) => `${'x'.repeat(20_000)}${last}`],
  ['what lies deep', (last: number) => nested(40, last)],
  ['a member behind the hundredth of a set', (last: number) => new Set([...Array(149).keys(), 1_000 + last])],
])('%s counts', (_, make) => {
  expect(fingerprintOf(make(1))).toBe(fingerprintOf(make(1)));
  expect(fingerprintOf(make(1))).not.toBe(fingerprintOf(make(2)));
});
