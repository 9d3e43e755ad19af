// The first look at two states: it says that they are the same only where the comparison would.
import { expect, test } from 'vitest';
import { IgnoredPlaces } from '../../src/rehearsal/compare/paths.ts';
import { arePlainlySame } from '../../src/rehearsal/compare/plainly-same.ts';
import { diffOf } from '../../src/rehearsal/compare/state-diff.ts';

const nothingIgnored = new IgnoredPlaces([], new Map()).of('any');

class Held {
  readonly #n: number;
  constructor(n: number) {
    this.#n = n;
  }
  toJSON(): number {
    return this.#n;
  }
}
const own = (n: number): object => Object.assign({ n }, { toJSON });
function toJSON(this: { n: number }): number {
  return this.n;
}
const hidden = (n: number): object => Object.defineProperty({ toJSON }, 'n', { value: n });
const holed = (length: number): unknown[] => new Array(length);

/** Made anew for each use, so that no two are one object. */
const values: readonly (() => unknown)[] = [
  ...[undefined, null, 0, -0, Number.NaN, '', 'a', 1n, true].map((value) => () => value),
  ...[() => ({}), () => [], () => ({ a: undefined }), () => ({ b: undefined }), () => [undefined], () => holed(1)],
  ...[() => ({ a: 1, b: 2 }), () => ({ b: 2, a: 1 }), () => ({ a: 1 }), () => ({ a: 1, c: 2 }), () => ({ a: '1' })],
  ...[() => ({ a: [{ b: [1] }] }), () => ({ a: [{ b: [2] }] }), () => ({ a: { 0: { b: [1] } } }), () => [1, 2]],
  ...[() => [2, 1], () => ({ 0: 1, 1: 2 }), () => Object.assign([1, 2], { more: 1 })],
  ...[() => Object.create(null), () => Object.create({ a: 1 }), () => new Map([[1, 2]]), () => new Map([[1, 3]])],
  ...[() => new Set([1]), () => new Set([2]), () => new Date(0), () => new Date(1), () => /a/, () => /b/],
  ...[() => new Held(1), () => new Held(2), () => own(1), () => own(2), () => hidden(1), () => hidden(2)],
  ...[() => ({ a: new Held(1) }), () => ({ a: new Held(2) }), () => [hidden(1)], () => [hidden(2)]],
  ...[() => JSON.parse('{"__proto__": 1}'), () => JSON.parse('{"__proto__": 2}'), () => ({ constructor: 1 })],
  ...[() => Buffer.from('a'), () => Buffer.from('b'), () => new Error('a'), () => new Error('b'), () => () => 1],
];

test('each value with each other', () => {
  const [agreed, inDoubt]: [unknown[], unknown[]] = [[], []];
  for (const old of values) {
    for (const now of values) {
      const [isSame, { count }] = [arePlainlySame(old(), now()), diffOf({ x: old() }, { x: now() }, nothingIgnored, 0)];
      // An object whose `x` is a class's makes the comparison look for itself.
      const compared = diffOf({ x: old(), y: new Held(0) }, { x: now(), y: new Held(0) }, nothingIgnored, 0).count;
      expect(count).toBe(compared);
      if (isSame) expect(compared).toBe(0);
      (isSame ? agreed : inDoubt).push(1);
    }
  }
  expect(agreed.length).toBeGreaterThan(25);
  expect(inDoubt.length).toBeGreaterThan(2_000);
});

test('plain states are the same at the first look', () => {
  const state = (): object => ({
    id: 'a',
    lines: [{ sku: 'b', at: 1 }, { sku: 'c' }],
    totals: { net: 1, gross: null },
  });
  expect(arePlainlySame(state(), state())).toBe(true);
  expect(arePlainlySame(state(), { ...state(), id: 'b' })).toBe(false);
});

test('what is large, deep, a cycle or used in many places is left to the comparison, at once', () => {
  const cycle = (): unknown => {
    const list: unknown[] = [];
    list.push(list);
    return list;
  };
  const shared = (): unknown => {
    let part: unknown = { a: 1 };
    for (let i = 0; i < 7; i++) part = Array.from({ length: 100 }, () => part);
    return part;
  };
  const large = (): unknown => Array.from({ length: 2_000 }, (_, i) => i);
  const deep = (): unknown => JSON.parse(`${'['.repeat(50)}${']'.repeat(50)}`);
  for (const make of [cycle, shared, large, deep]) expect(arePlainlySame(make(), make())).toBe(false);
});

test('a getter that throws, and a proxy that is revoked, are in doubt', () => {
  const throwing = (): object => Object.defineProperty({}, 'a', { enumerable: true, get: toThrow });
  const revoked = (): object => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  };
  for (const make of [throwing, revoked]) expect(arePlainlySame(make(), make())).toBe(false);
});

function toThrow(): never {
  throw new Error('not today');
}
