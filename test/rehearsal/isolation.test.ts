// Neither side of a rehearsal sees what the other one changes in place: in its payloads, or in a state that has kept one.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRuntime } from '../../src/index.ts';
import { type AnyAggregate, defineAggregate } from '../../src/model/aggregate.ts';
import { copyOfJson } from '../../src/rehearsal/payload-for-two.ts';
import { rehearse } from '../../src/testing.ts';
import { type Packed, Parcel } from './parcels.ts';

let folder: string;
let dataDir: string;

const deep = (levels: number): unknown => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`);
const packed: readonly Packed[] = [
  { weight: 1, lines: [{ sku: 'shoe', tags: ['a', 'b'] }], label: { to: { city: 'Bonn' } } },
  { weight: 2, lines: [], label: JSON.parse('{"__proto__": {"city": "Ulm"}, "7": [1], "1": {"x": null}}') },
  { weight: 3, lines: [{ sku: 'lace', tags: [] }], label: { deep: deep(40) } },
];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'trunkline-rehearsal-'));
  dataDir = join(folder, 'data');
  await using runtime = await createRuntime({ logger: false, dataDir, shards: 1, aggregates: [Parcel] });
  await runtime.ref(Parcel, 'p-1').pack(packed);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Changes every object and list within a value. */
function spoil(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  for (const part of Object.values(value)) spoil(part);
  if (Array.isArray(value)) value.push('spoilt');
  else Object.defineProperty(value, 'spoilt', { value: true, enumerable: true });
}

const { name, ...definition }: AnyAggregate = Parcel;
type Seen = (payload: Packed) => void;
const folded = (seen: Seen): AnyAggregate =>
  defineAggregate(name, {
    ...definition,
    module: import.meta.url,
    state: () => ({ all: [] as unknown[] }),
    evolve: {
      Packed: (state: { readonly all: readonly unknown[] }, payload: unknown) => {
        seen(payload as Packed);
        return { all: [...state.all, payload] };
      },
    },
  });

describe.each(['old', 'new'] as const)('the %s side changes its payloads', (side) => {
  test('the other one is given what is stored', async () => {
    const given: string[] = [];
    const spoiling = folded(spoil);
    const reading = folded((payload) => given.push(JSON.stringify(payload)));
    const other = side === 'old' ? 'new' : 'old';
    const sides = { [side]: [spoiling], [other]: [reading] } as Record<typeof side, AnyAggregate[]>;
    const { different } = await rehearse({ dataDir, limit: 0, ...sides });
    expect(given).toEqual(packed.map((one) => JSON.stringify(one)));
    expect(different).toBe(1);
  });

  test('those that its state has kept, later', async () => {
    const kept: Packed[] = [];
    let before: Packed | undefined;
    const spoiling = folded((payload) => {
      spoil(before);
      before = payload;
    });
    const reading = folded((payload) => kept.push(payload));
    const other = side === 'old' ? 'new' : 'old';
    const sides = { [side]: [spoiling], [other]: [reading] } as Record<typeof side, AnyAggregate[]>;
    await rehearse({ dataDir, limit: 0, ...sides });
    expect(kept).toEqual(packed);
  });
});

test('a side that freezes its payload leaves the other one its own', async () => {
  const given: boolean[] = [];
  const freezing = folded((payload) => Object.freeze(payload));
  const reading = folded((payload) => given.push(Object.isFrozen(payload)));
  await rehearse({ dataDir, limit: 0, old: [freezing], new: [reading] });
  expect(given).toEqual([false, false, false]);
});

describe('a copy of JSON', () => {
  test.each([
    'null',
    '-0',
    '"text"',
    '[]',
    '{}',
    '[[], {}, [null, {"a": [1]}]]',
    '{"b": 1, "2": {"1": 1, "a": 2}, "1": [{}]}',
    '{"__proto__": {"a": {"__proto__": []}}, "constructor": {"prototype": {}}, "toJSON": {}}',
  ])('%s', (text) => {
    const [value, copy] = [JSON.parse(text), copyOfJson(JSON.parse(text), 9)];
    expect(JSON.stringify(copy)).toBe(JSON.stringify(value));
    expect(isDeepStrictEqual(copy, value)).toBe(true);
  });

  test('shares no object with its original', () => {
    const value = JSON.parse('{"a": [{"b": {"__proto__": [{}]}}], "c": {}}');
    const copy = copyOfJson(value, 9);
    const text = JSON.stringify(value);
    spoil(copy);
    expect(JSON.stringify(value)).toBe(text);
  });

  test('what is nested deeper is not copied', () => {
    expect(copyOfJson(deep(9), 9)).toEqual(deep(9));
    for (const value of [deep(10), { a: 1, b: deep(9) }, [1, deep(9)]]) expect(copyOfJson(value, 9)).toBeUndefined();
  });
});
