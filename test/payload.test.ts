// What may travel: whatever is accepted equals what JSON makes of it, and whatever JSON would bend in silence is refused.
import { deepStrictEqual } from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isError, TrunklineError } from '../src/base/errors.ts';
import { argumentsJson, deepFreeze, errorJson, isFaithful, plainToJson, toJson, toPlain } from '../src/wire/payload.ts';

const refusal = (value: unknown): { path: string; reason: string } => {
  try {
    toJson(value, 'data');
  } catch (error) {
    if (isError(error, 'UnserialisableValue')) return error.details;
    throw error;
  }
  throw new Error('was accepted');
};

const withHole: unknown[] = [1, 2, 3];
delete withHole[1];

class Money {
  readonly amount: string;
  constructor(amount: string) {
    this.amount = amount;
  }
}

class Decimal extends Money {
  toJSON(): string {
    return this.amount;
  }
}

const carrier = fc.oneof(
  fc.date({ noInvalidDate: true }),
  fc.string({ unit: 'grapheme' }).map((text) => new Decimal(text)),
  fc.jsonValue().map((value) => ({ hidden: 1n, toJSON: () => value })),
);

/** Plain values, with carriers, -0, undefined properties, objects without a prototype and odd keys among them. */
const carried = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', '').toWellFormed()),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.integer(),
    fc.boolean(),
    fc.constantFrom(null, -0, 0, '', '__proto__', '\\u0000', '\\ud800'),
    carrier,
  ),
  value: fc.oneof({ maxDepth: 4 }, tie('leaf'), tie('array'), tie('object')),
  array: fc.array(tie('value'), { maxLength: 5 }),
  object: fc.dictionary(
    fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'toString', '0', '1')),
    fc.oneof(tie('value'), fc.constant(undefined)),
    { maxKeys: 6, noNullPrototype: false },
  ),
})).value;

describe('toPlain', () => {
  test('equals JSON.parse(JSON.stringify(x)) for everything it accepts', () => {
    fc.assert(
      fc.property(carried, (value) => {
        const viaJson = JSON.parse(JSON.stringify(value));
        deepStrictEqual(toPlain(value, 'data'), viaJson);
        deepStrictEqual(JSON.parse(toJson(value, 'data')), viaJson);
      }),
      { numRuns: 1000 },
    );
  });

  test('for anything at all it either equals JSON or refuses with a typed error', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withNullPrototype: true,
      withSparseArray: true,
      withTypedArray: true,
      withUnicodeString: true,
      withBoxedValues: true,
    });
    fc.assert(
      fc.property(anything, (value) => {
        let plain: unknown;
        try {
          plain = toPlain(value, 'data');
        } catch (error) {
          expect(error).toBeInstanceOf(TrunklineError);
          return;
        }
        deepStrictEqual(plain, JSON.parse(JSON.stringify(value)));
      }),
      { numRuns: 2000 },
    );
  });

  test('shares nothing that can change with its source', () => {
    const source = { list: [{ deep: 1 }], item: { deep: 1 } };
    const plain = toPlain(source, 'data') as typeof source;
    source.list[0]!.deep = 2;
    source.list.push({ deep: 3 });
    source.item.deep = 2;
    expect(plain).toEqual({ list: [{ deep: 1 }], item: { deep: 1 } });
  });

  test.each<[string, unknown, string]>([
    ['NaN', { a: [Number.NaN] }, 'data.a[0]'],
    ['Infinity', { a: Number.POSITIVE_INFINITY }, 'data.a'],
    ['-Infinity', Number.NEGATIVE_INFINITY, 'data'],
    ['undefined alone', undefined, 'data'],
    ['undefined in an array', { list: [1, undefined] }, 'data.list[1]'],
    ['a hole in an array', withHole, 'data[1]'],
    ['a bigint', { big: 1n }, 'data.big'],
    ['a function', { act: () => 1 }, 'data.act'],
    ['a symbol', { s: Symbol('x') }, 'data.s'],
    ['a Map', { m: new Map() }, 'data.m'],
    ['a Set', [new Set()], 'data[0]'],
    ['a class instance', { price: new Money('1') }, 'data.price'],
    ['a typed array', { bytes: new Uint8Array(1) }, 'data.bytes'],
    ['a RegExp', /x/, 'data'],
    ['an Error', { cause: new Error('x') }, 'data.cause'],
    ['a Promise', { later: Promise.resolve() }, 'data.later'],
    ['an invalid Date inside toJSON of its own', { toJSON: () => Number.NaN }, 'data'],
  ])('refuses %s and names the place', (_, value, path) => {
    expect(refusal(value).path).toBe(path);
  });

  test('refuses a cycle', () => {
    const cycle: { self?: unknown } = {};
    cycle.self = { again: [cycle] };
    expect(refusal(cycle)).toEqual({ path: 'data.self.again[0]', reason: 'is data again, a cycle' });
    const carriesItself: { toJSON(): unknown } = { toJSON: () => carriesItself };
    expect(refusal(carriesItself)).toEqual({ path: 'data', reason: 'is nested deeper than 200' });
  });

  test('does what a toJSON returns, once', () => {
    const toJSON = (): unknown => ({ inner: new Decimal('1.10'), at: new Date(0) });
    expect(toPlain({ a: { toJSON } }, 'data')).toEqual({ a: { inner: '1.10', at: '1970-01-01T00:00:00.000Z' } });
  });

  test('looks at an array as JSON does', () => {
    const list = Object.assign([1], { extra: new Map(), toJSON: () => 'list' });
    deepStrictEqual(toPlain({ list }, 'data'), { list: 'list' });
  });

  test('leaves out what JSON cannot see: symbol keys and what is not enumerable', () => {
    const value = Object.defineProperty({ a: 1, [Symbol('mark')]: new Map() }, 'hidden', { value: 1n });
    deepStrictEqual(toPlain(value, 'data'), { a: 1 });
  });

  test('an object from another realm is plain', async () => {
    const { runInNewContext } = await import('node:vm');
    expect(toPlain(runInNewContext('({ a: [1, { b: 2 }] })'), 'data')).toEqual({ a: [1, { b: 2 }] });
  });
});

describe('a key named __proto__', () => {
  const hostile = JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}');

  test('is carried as a key', () => {
    const plain = toPlain(hostile, 'data') as object;
    expect(Object.hasOwn(plain, '__proto__')).toBe(true);
    expect(Object.getPrototypeOf(plain)).toBe(Object.prototype);
    deepStrictEqual(JSON.parse(toJson(hostile, 'data')), hostile);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test('is looked into like any other', () => {
    expect(
      refusal(JSON.parse('{"__proto__":{}}', (key, value) => (key === '__proto__' ? { bad: 1n } : value))).path,
    ).toBe('data.__proto__.bad');
  });
});

describe('text that not every sink can store', () => {
  const place = fc.constantFrom(
    (text: string): unknown => text,
    (text: string): unknown => ({ a: [text] }),
    (text: string): unknown => ({ [text]: 1 }),
  );
  const placeOf = (put: (text: string) => unknown): 'text' | 'a' | 'key' => {
    const value = put('x');
    return typeof value === 'string' ? 'text' : 'a' in (value as object) ? 'a' : 'key';
  };
  const around = fc.array(fc.constantFrom('\\', '"', 'u', 'u0000', '\\u0000', 'ud800', '\n', '\u0001', 'é', '😀', 'x'));

  test('U+0000 and lone surrogates are refused wherever they stand', () => {
    const bad = fc.constantFrom('\0', '\ud800', '\udbff', '\udc00', '\udfff');
    fc.assert(
      fc.property(around, bad, around, place, (before, char, after, put) => {
        const text = before.join('') + char + after.join('');
        fc.pre(text.includes('\0') || !text.isWellFormed());
        const path = { text: 'data', a: 'data.a[0]', key: 'data' }[placeOf(put)];
        const details = expect.objectContaining({ path });
        expect(() => toJson(put(text), 'data')).toThrow(
          expect.objectContaining({ code: 'UnserialisableValue', details }),
        );
      }),
      { numRuns: 2000 },
    );
  });

  test('text that only looks like an escape is carried', () => {
    fc.assert(
      fc.property(around, place, (parts, put) => {
        const value = put(parts.join(''));
        deepStrictEqual(JSON.parse(toJson(value, 'data')), value);
      }),
      { numRuns: 2000 },
    );
    for (const text of ['\\u0000', '\\\\u0000', '\\ud800', 'u0000', '\\', '\ud83d\ude00', '\u0001']) {
      expect(JSON.parse(plainToJson(text, 'data'))).toBe(text);
    }
  });
});

describe('isFaithful', () => {
  test('is true only of what comes back from JSON as it was', () => {
    fc.assert(
      fc.property(fc.anything({ withDate: true, withMap: true, withSet: true, withBigInt: true }), (value) => {
        if (!isFaithful(value)) return;
        const back = JSON.parse(JSON.stringify(value));
        expect(back).toEqual(value);
      }),
      { numRuns: 2000 },
    );
  });

  test('is false of what JSON drops or gives a prototype', () => {
    const match = 'a-b'.match(/-/)!;
    expect(isFaithful({ [Symbol('s')]: 1 })).toBe(false);
    expect(isFaithful(Object.create(null))).toBe(false);
    expect(isFaithful({ known: Object.assign(Object.create(null), { a: 1 }) })).toBe(false);
    expect(isFaithful(match)).toBe(false);
    expect(isFaithful({ words: Object.assign(['a'], { at: 2 }) })).toBe(false);
    expect(isFaithful(Object.defineProperty({ a: 1 }, 'hidden', { value: 2 }))).toBe(false);
    expect(isFaithful({ words: ['a'], at: 2 })).toBe(true);
  });

  test('is true of plain data, an undefined property included', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(isFaithful(JSON.parse(JSON.stringify(value)))).toBe(true);
      }),
    );
    expect(isFaithful({ status: 'idle', trunk: undefined })).toBe(true);
  });

  test.each<[string, unknown]>([
    ['undefined', undefined],
    ['a Date', { at: new Date() }],
    ['a Map', { calls: new Map() }],
    ['a Set', [new Set()]],
    ['-0', [-0]],
    ['NaN', { n: Number.NaN }],
    ['a bigint', { n: 1n }],
    ['a function', { f() {} }],
    ['a class instance', { m: new Money('1') }],
    ['undefined in an array', [undefined]],
    ['a toJSON of its own', { toJSON: () => 1 }],
    ['an array of a class of its own', new (class Stack extends Array {})()],
    ['a hole', withHole],
  ])('is false of %s', (_, value) => {
    expect(isFaithful(value)).toBe(false);
  });
});

test('what cannot be read is refused with its place, whatever it throws', () => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const throwing = (error: unknown): object =>
    Object.defineProperty({}, 'x', {
      enumerable: true,
      get() {
        throw error;
      },
    });
  for (const value of [proxy, { toJSON: () => proxy }]) {
    expect(refusal({ a: [value] })).toEqual({ path: 'data.a[0]', reason: expect.stringMatching(/^cannot be read: /) });
  }
  for (const error of [new Error('no'), proxy, undefined]) {
    const reason = expect.stringMatching(/^cannot be read: /);
    expect(refusal({ a: [throwing(error)] })).toEqual({ path: 'data.a[0].x', reason });
  }
});

describe('errorJson', () => {
  test('tells any error, whatever its details', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 20_000 }),
        fc.anything({ withBigInt: true }),
        (message, details) => {
          const json = errorJson({ kind: 'error', code: 'CommandFailed', message, details });
          expect(json.length).toBeLessThan(16_384);
          expect(toJson(JSON.parse(json), 'error')).toBe(json);
        },
      ),
    );
  });
});

test('deepFreeze freezes all the way down', () => {
  const frozen = deepFreeze({ a: [{ b: 1 }], c: null });
  expect(Object.isFrozen(frozen) && Object.isFrozen(frozen.a) && Object.isFrozen(frozen.a[0])).toBe(true);
});

describe('what a library has put on Object.prototype', () => {
  test.each([true, 0, null, ['admin'], { role: 'admin' }, () => {}, undefined])('is no payload: %o', (value) => {
    const given = { amount: 1, list: [{ n: 1 }], nothing: undefined };
    Object.defineProperty(Object.prototype, 'injected', {
      value,
      configurable: true,
      enumerable: true,
      writable: true,
    });
    try {
      const plain = toPlain(given, 'data');
      expect(Object.keys(plain as object)).toEqual(['amount', 'list']);
      expect(toJson(given, 'data')).toBe('{"amount":1,"list":[{"n":1}]}');
      expect(Object.isFrozen(deepFreeze(plain))).toBe(true);
      expect(Object.isFrozen(value) && value === Object(value)).toBe(false);
      expect(isFaithful(plain)).toBe(true);
    } finally {
      Reflect.deleteProperty(Object.prototype, 'injected');
    }
  });
});

describe('what is far larger than any payload', () => {
  const sparse = (length: number): unknown[] => {
    const list: unknown[] = ['first'];
    list[length - 1] = 'last';
    return list;
  };
  class Endless extends Array<number> {
    override *[Symbol.iterator](): ArrayIterator<number> {
      for (;;) yield 1;
    }
  }

  test('a list with holes is refused at the first one, however long it says it is', () => {
    for (const length of [3, 65, 100_000, 2 ** 32 - 1]) {
      expect(refusal({ seats: sparse(length) })).toEqual({ path: 'data.seats[1]', reason: 'is undefined' });
      expect(isFaithful(sparse(length))).toBe(false);
    }
  });

  test('a proxy that says it has four billion items, and an iterator without an end', () => {
    const proxy = new Proxy([], { get: (_, key) => (key === 'length' ? 2 ** 32 - 1 : undefined), has: () => false });
    expect(refusal(proxy).path).toBe('data[0]');
    expect(toPlain(Endless.of(1, 2), 'data')).toEqual([1, 2]);
  });

  test('parts that are used again and again count each time', () => {
    let list: unknown = { x: 1 };
    for (let i = 0; i < 34; i++) list = [list, list];
    expect(refusal(list).reason).toMatch(/more than a million/);
    expect(isFaithful(list)).toBe(false);
    const wide = Array.from({ length: 4096 }, () => 0);
    expect(refusal(Array.from({ length: 5000 }, () => wide)).reason).toMatch(/16 million/);
    expect(toPlain([wide, wide], 'data')).toEqual([wide, wide]);
  });

  test('a text that no JSON text could hold is CommandTooLarge', () => {
    const text = 'x'.repeat(2 ** 24);
    const texts = Array.from({ length: 40 }, () => text);
    expect(() => toJson(texts, 'data')).toThrow(expect.objectContaining({ code: 'CommandTooLarge' }));
  });

  test('more arguments than a call can be given', () => {
    const input: unknown[] = [];
    input.length = 2 ** 32 - 1;
    expect(() => argumentsJson(input)).toThrow(expect.objectContaining({ code: 'UnserialisableValue' }));
  });
});
