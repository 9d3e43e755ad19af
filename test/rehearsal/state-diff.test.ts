// Where two states differ, whatever reducers have made them of; and which places a pattern leaves out.
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { type Coverage, IgnoredPlaces, type Place, pathOf } from '../../src/rehearsal/compare/paths.ts';
import { diffOf } from '../../src/rehearsal/compare/state-diff.ts';

const ignoring = (...patterns: string[]): Coverage => new IgnoredPlaces(patterns, new Map()).of('order');
const diff = (old: unknown, now: unknown, most = 10) => diffOf(old, now, ignoring(), most);
const paths = (old: unknown, now: unknown): string[] => diff(old, now).changes.map(({ path }) => path);

class Money {
  readonly #cents: number;
  constructor(cents: number) {
    this.#cents = cents;
  }
  toJSON(): string {
    return String(this.#cents);
  }
}
/** As the module of another release has it. */
const OtherMoney = class Money {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
  toJSON(): string {
    return String(this.value);
  }
};
class Sum extends Money {}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

const cycle = (label: string): object => {
  const list: Record<string, unknown> = { label };
  list.self = list;
  return list;
};
const deep = (levels: number, end: unknown): unknown => {
  let state = end;
  for (let i = 0; i < levels; i++) state = { next: state };
  return state;
};

test.each<[string, unknown, unknown]>([
  ['nothing', undefined, undefined],
  ['NaN', { a: Number.NaN }, { a: Number.NaN }],
  ['a property that is undefined and one that is not there', { a: 1, b: undefined }, { a: 1 }],
  ['another order of properties', { a: 1, b: 2 }, { b: 2, a: 1 }],
  ['an object of another realm, or without a prototype', { a: [1] }, runInNewContext('({ a: [1], __proto__: null })')],
  [
    'Map, in another order',
    new Map([
      ['a', 1],
      ['b', 2],
    ]),
    new Map([
      ['b', 2],
      ['a', 1],
    ]),
  ],
  ['Map by objects', new Map([[{ a: 1 }, { b: 1 }]]), new Map([[{ a: 1 }, { b: 1 }]])],
  ['Set', new Set<unknown>(['a', { b: 1 }]), new Set<unknown>(['a', { b: 1 }])],
  ['Date', new Date(5), new Date(5)],
  ['an invalid Date', new Date(Number.NaN), new Date(Number.NaN)],
  ['bytes', new Uint8Array([1, 2]), new Uint8Array([1, 2])],
  ['private fields', new Money(5), new Money(5)],
  ['cycles', cycle('a'), cycle('a')],
  ['functions of the same text', { f: () => 1 }, { f: () => 1 }],
  ['a bigint', 5n, 5n],
  ['deeper than the stack', deep(100_000, 1), deep(100_000, 1)],
])('the same: %s', (_, old, now) => {
  expect(diff(old, now)).toEqual({ changes: [], count: 0, ignored: 0 });
  expect(diff(now, old).count).toBe(0);
});

test.each<[string, unknown, unknown, string[]]>([
  ['a state that is no object', 1, 2, ['']],
  ['null and nothing', { a: null }, {}, ['a']],
  ['zero and minus zero', { a: 0 }, { a: -0 }, ['a']],
  ['text and number', { a: '1' }, { a: 1 }, ['a']],
  ['a list that is longer', { a: [1, 2] }, { a: [1, 2, 3] }, ['a[2]']],
  ['undefined at the end of a list', [1, undefined], [1], ['[1]']],
  ['a list and an object', { a: [] }, { a: {} }, ['a']],
  ['names that are none', { 'x.y': 1, ü: 1 }, {}, ['["x.y"]', 'ü']],
  [
    'Map',
    {
      m: new Map([
        ['k', { v: 1 }],
        ['l', { v: 1 }],
      ]),
    },
    { m: new Map([['k', { v: 2 }]]) },
    ['m.k.v', 'm.l'],
  ],
  ['Map by numbers', new Map([[1, 'a']]), new Map([[1, 'b']]), ['[1]']],
  ['Map by objects', new Map([[{ a: 1 }, 1]]), new Map([[{ a: 1 }, 2]]), ['[0][1]']],
  ['Set', new Set(['a', 'b']), new Set(['b', 'c']), ['a', 'c']],
  ['Set of objects', new Set([{ a: 1 }]), new Set([{ a: 2 }]), ['[0].a']],
  ['Map and Set', new Map(), new Set(), ['']],
  ['Date', { at: new Date(5) }, { at: new Date(6) }, ['at']],
  ['Date and its text', { at: new Date(5) }, { at: new Date(5).toJSON() }, ['at']],
  ['bytes', new Uint8Array([1, 2]), new Uint8Array([1, 3]), ['']],
  ['private fields', { m: new Money(5) }, { m: new Money(6) }, ['m']],
  ['fields of an instance', new OtherMoney(5), new OtherMoney(6), ['value', '']],
  ['classes', new Money(5), new Sum(5), ['']],
  ['cycles', cycle('a'), cycle('b'), ['label']],
  ['what cannot be read', { a: revoked() }, { a: {} }, ['a']],
  [
    'a getter that throws',
    {
      get a(): never {
        throw new Error('no');
      },
    },
    { a: 1 },
    [''],
  ],
  ['errors', new Error('a'), new Error('b'), ['']],
  ['boxed values', Object(1), Object(2), ['']],
  ['patterns', /a/, /b/, ['']],
])('differs: %s', (_, old, now, where) => {
  expect(paths(old, now)).toEqual(where);
  expect(paths(now, old).sort()).toEqual([...where].sort());
});

test('deeper than the stack, and each part used once for each other', () => {
  expect(diff(deep(100_000, 1), deep(100_000, 2)).count).toBe(1);
  const shared = { a: 1 };
  expect(paths([shared, shared], [{ a: 1 }, { a: 2 }])).toEqual(['[1].a']);
});

test('a part in two places is ignored where it is covered, and in no other', () => {
  const [old, now] = [
    { sku: 'a', cents: 1 },
    { sku: 'a', cents: 2 },
  ];
  const found = { count: 1, ignored: 1 };
  for (const pattern of ['last', 'last.cents', '*.cents']) {
    for (const [a, b] of [
      [
        { last: old, items: [old] },
        { last: now, items: [now] },
      ],
      [
        { items: [old], last: old },
        { items: [now], last: now },
      ],
    ]) {
      const { changes, ...counts } = diffOf(a, b, ignoring(pattern), 10);
      expect([pattern, changes.map(({ path }) => path), counts]).toEqual([pattern, ['items[0].cents'], found]);
    }
  }
  expect(diffOf({ last: cycle('a') }, { last: cycle('b') }, ignoring('last.self.self'), 10)).toMatchObject({
    ...{ count: 2, ignored: 1 }, // last.label, last.self.label
  });
  expect(diffOf({ last: cycle('a') }, { last: cycle('b') }, ignoring('*.label', '*.self'), 10)).toMatchObject({
    count: 0,
  });
});

test('toJSON() is asked once, as JSON asks it; one that gives what is new each time ends', () => {
  let made = 0;
  class Fresh {
    cents: number;
    nests: boolean;
    constructor(cents: number, nests = false) {
      this.cents = cents;
      this.nests = nests;
      if (++made > 100_000) throw new Error('no end');
    }
    toJSON(): object {
      const { cents, nests } = this;
      return nests ? { inner: new Fresh(cents, nests) } : new Fresh(cents);
    }
  }
  expect(diff({ a: new Fresh(1) }, { a: new Fresh(1) }).count).toBe(0);
  expect(paths({ a: new Fresh(1) }, { a: new Fresh(2) })).toEqual(['a.cents', 'a.cents']);
  expect(made).toBeLessThan(20);
  expect(diff(new Fresh(1, true), new Fresh(1, true)).count).toBe(1); // JSON has no text of it
});

test('what is shown is bounded, and runs nothing of the state', () => {
  let calls = 0;
  const noisy = {
    toString: () => void calls++,
    [Symbol.for('nodejs.util.inspect.custom')]: () => void calls++,
  };
  const { changes, count } = diff({ a: 'x'.repeat(10_000), b: noisy }, { a: Array.from({ length: 1e5 }), b: 1 }, 5);
  expect([count, calls]).toEqual([2, 0]);
  for (const { old, new: now } of changes) expect(Math.max(old!.length, now!.length)).toBeLessThan(250);
  expect(
    diff(
      Array.from({ length: 50 }, () => 1),
      [],
      3,
    ),
  ).toMatchObject({ count: 50, changes: { length: 3 } });
  expect(diff({ a: 1 }, {}).changes).toEqual([{ path: 'a', old: '1', new: undefined }]);
});

describe('patterns', () => {
  const at = (...names: (string | number)[]): Place =>
    names.reduce<Place | undefined>(
      (within, name) => ({ within, name: String(name), isIndex: typeof name === 'number' }),
      undefined,
    )!;
  const types = new Map([
    ['order', 'order'],
    ['order:old', 'order:old'],
  ]);
  const covers = (pattern: string, type: string, place: Place): boolean =>
    coverageAt(new IgnoredPlaces([pattern], types).of(type), place).isIgnored;
  const coverageAt = (all: Coverage, { within, name }: Place): Coverage =>
    (within === undefined ? all : coverageAt(all, within)).at(name);

  test.each<[string, Place]>([
    ['order:totals.net', at('totals', 'net')],
    ['order:totals', at('totals', 'net')],
    ['order:totals.*', at('totals', 'net')],
    ['totals.net', at('totals', 'net')],
    ['*:totals.net', at('totals', 'net')],
    ['*.net', at('totals', 'net')],
    ['items[*].price', at('items', 3, 'price')],
    ['items[3].price', at('items', 3, 'price')],
    ['items.3.price', at('items', 3, 'price')],
    ['order:rates["a.b"]', at('rates', 'a.b')],
    ['["x\\"y"]', at('x"y')],
  ])('%s covers its place', (pattern, place) => {
    expect(covers(pattern, 'order', place)).toBe(true);
  });

  test.each<[string, Place]>([
    ['order:totals.net', at('totals')],
    ['order:totals.net', at('totals', 'gross')],
    ['order:totals.*', at('totals')],
    ['order:old:totals', at('totals')],
    ['items[4].price', at('items', 3, 'price')],
    ['net', at('totals', 'net')],
  ])('%s does not', (pattern, place) => {
    expect(covers(pattern, 'order', place)).toBe(false);
  });

  test('what a path shows can be given as a pattern', () => {
    for (const place of [at('a', 0, 'b.c', 'd"e', 'f\\g', '\n\u001b', 'ü'), at(0), at('a b')]) {
      expect([pathOf(place), covers(pathOf(place), 'order', place)]).toEqual([pathOf(place), true]);
    }
  });

  test.each(['', 'order:', 'ordre:totals', 'a..b', 'a[', 'a["b]', 'a]'])('%j is none', (pattern) => {
    expect(() => new IgnoredPlaces([pattern], types)).toThrow(/option ignore/);
  });
});
