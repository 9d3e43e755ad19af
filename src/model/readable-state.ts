// A state as its readers get it. Alive, replayed or out of a snapshot it reads the same: JSON, by which snapshots and answers
// go, has no `undefined`, so a property with that value is left out everywhere.
import type { ReadState } from '../wire/carried.ts';

/**
 * A copy, frozen, without the properties that are `undefined`. What is no plain object or list (a Map, a Date) stays the
 * reducer's own.
 */
export function readableState<T>(state: T): ReadState<T> {
  return copyOf(state, new Map()) as ReadState<T>;
}

function copyOf(value: unknown, copies: Map<object, object>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const known = copies.get(value);
  if (known !== undefined) return known;
  if (Array.isArray(value)) {
    const list: unknown[] = [];
    copies.set(value, list);
    for (const item of value) list.push(copyOf(item, copies));
    return Object.freeze(list);
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  const copy = Object.create(prototype);
  copies.set(value, copy);
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue;
    Object.defineProperty(copy, key, { value: copyOf(item, copies), enumerable: true });
  }
  return Object.freeze(copy);
}
