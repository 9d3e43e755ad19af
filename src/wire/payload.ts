// What may travel: payloads, command arguments, results and metadata are JSON. One walk over a value refuses what JSON
// would bend in silence, and copies it, so that `evolve` sees now exactly what a replay will show it later.
//
// | value | what happens |
// |---|---|
// | string, finite number, boolean, null, plain object, array | carried |
// | object with `toJSON` (Date, a decimal) | carried as what `toJSON` returns: text |
// | property whose value is `undefined` | left out, as JSON does; `-0` becomes `0` |
// | `undefined` in an array, NaN, ±Infinity, bigint, function, symbol, Map, Set, other class instances, a cycle | refused |
// | an invalid Date, what cannot be read (a getter or `toJSON` that throws, a revoked proxy) | refused |
// | text with U+0000 or a lone surrogate | refused: a database's JSON could not take it |
// | more than a million objects and lists, or 16 million items, where a part used twice counts twice | refused before it is copied |
import { constants } from 'node:buffer';
import { types } from 'node:util';
import { TrunklineError } from '../base/errors.ts';
import { DEPTH_LIMIT } from '../base/json-depth.ts';
import { isStorable, tame } from '../base/tame.ts';
import type { WireError } from '../base/wire-error.ts';

/**
 * The most that a walk takes, in words: far more than a command of the default ring can carry. What is too large must
 * end as an error, before it is copied, and not as the end of the process. Objects and lists cost more than their items.
 */
const wordsLimit = 1 << 24;
const containerWords = 16;
/** More arguments than that could not be passed on the stack of a call. */
const argumentsLimit = 65_535;

/** What is left of it in this walk. */
let wordsLeft = wordsLimit;

// `for … in` with this costs nothing beyond `for … in`; a list of the keys doubles the cost of the walk.
const isOwn = Object.prototype.hasOwnProperty;

function refuse(path: string, reason: string): never {
  throw new TrunklineError('UnserialisableValue', { path, reason });
}

function refuseSize(path: string): never {
  return refuse(
    path.slice(0, 200),
    'holds more than a million objects and lists, or 16 million items (a part that is used twice counts twice)',
  );
}

/**
 * A copy of `value` that equals `JSON.parse(JSON.stringify(value))`, or `UnserialisableValue` naming the place. `depth` is
 * above 0 within a walk only.
 */
export function toPlain(value: unknown, path: string, depth = 0): unknown {
  if (depth === 0) wordsLeft = wordsLimit;
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      if (value - value !== 0) refuse(path, `is ${value}`); // NaN and the infinities
      return value + 0; // -0 becomes 0
    case 'object':
      break;
    case 'undefined':
      return refuse(path, 'is undefined');
    case 'bigint':
      return refuse(path, `is a bigint (${value}n); send it as text`);
    default:
      return refuse(path, `is a ${typeof value}`);
  }
  if (value === null) return null;
  if (depth > DEPTH_LIMIT) throw tooDeep;
  try {
    return copyOf(value, path, depth);
  } catch (error) {
    if (error === tooDeep && depth === 0) return refuseDepth(value, path);
    if (error === tooDeep || isOurs(error)) throw error;
    // Whatever the user's own code throws: a getter, toJSON, a proxy.
    return refuse(unreadablePlace(value, path), `cannot be read: ${messageOf(error)}`);
  }
}

/** The field that cannot be read, or the value itself. */
function unreadablePlace(value: object, path: string): string {
  try {
    for (const key of Object.keys(value)) {
      try {
        void (value as Record<string, unknown>)[key];
      } catch {
        return Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`;
      }
    }
  } catch {
    // not even its keys
  }
  return path;
}

function isOurs(error: unknown): boolean {
  try {
    return error instanceof TrunklineError;
  } catch {
    return false;
  }
}

function messageOf(error: unknown): string {
  try {
    return String((error as Error).message).slice(0, 200);
  } catch {
    return 'what it threw cannot be read either';
  }
}

const tooDeep = Symbol('nested too deep');

function copyOf(value: object, path: string, depth: number): unknown {
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') {
    const left = wordsLeft;
    const json = (value as { toJSON(): unknown }).toJSON();
    wordsLeft = left; // toJSON() may have raised, which is a walk of its own
    if (json === null && types.isDate(value)) refuse(path, 'is an invalid Date');
    return toPlain(json, path, depth + 1);
  }
  if (Array.isArray(value)) {
    return copyOfArray(value, path, depth);
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    if (Object.prototype.toString.call(value) !== '[object Object]' || isClassInstance(prototype)) {
      refuse(path, `is a ${prototype.constructor?.name ?? 'class'} instance without toJSON()`);
    }
  }
  if ((wordsLeft -= containerWords) < 0) refuseSize(path);
  const left = wordsLeft;
  const copy: Record<string, unknown> = { ...(value as Record<string, unknown>) };
  wordsLeft = left; // a getter may have raised
  let words = 0;
  const symbols = Object.getOwnPropertySymbols(copy); // JSON does not see them
  for (const symbol of symbols) delete copy[symbol as unknown as string];
  for (const key in copy) {
    if (!isOwn.call(copy, key)) continue; // what a library has put on Object.prototype is no payload
    const item = copy[key];
    words++;
    if (scalar(item)) continue;
    if (item === undefined) delete copy[key];
    else copy[key] = toPlain(item, `${path}.${key}`, depth + 1);
  }
  wordsLeft -= words;
  return copy;
}

const valuesOf = Array.prototype[Symbol.iterator];

/** Item by item, so that a hole is found before the array is as long as it says; and a plain array, whatever was given. */
function copyOfArray(value: readonly unknown[], path: string, depth: number): unknown[] {
  const { length } = value;
  if ((wordsLeft -= containerWords + length) < 0) {
    for (let i = 0; i < length; i++) if (!(i in value)) refuse(`${path}[${i}]`, 'is undefined');
    refuseSize(path);
  }
  // A spread is the fastest copy; of what is long, or has an iterator of its own, it could be one without an end.
  if (length <= 64 && value[Symbol.iterator] === valuesOf) {
    const copy: unknown[] = [...value];
    for (let i = 0; i < copy.length; i++) {
      if (!scalar(copy[i])) copy[i] = toPlain(copy[i], `${path}[${i}]`, depth + 1);
    }
    return copy;
  }
  const copy: unknown[] = [];
  for (let i = 0; i < length; i++) {
    const item = value[i];
    copy.push(scalar(item) ? item : toPlain(item, `${path}[${i}]`, depth + 1));
  }
  return copy;
}

/** Name the cycle, at the place where it closes; or say that there is none, and that it is only deep. */
function refuseDepth(root: object, path: string): never {
  const above = new Map<unknown, string>();
  const seen = new Set<unknown>();
  const visit = (value: unknown, at: string): void => {
    if (typeof value !== 'object' || value === null) return;
    const first = above.get(value);
    if (first !== undefined) refuse(at, `is ${first} again, a cycle`);
    if (seen.has(value) || above.size > DEPTH_LIMIT) return;
    seen.add(value);
    above.set(value, at);
    for (const key of Object.keys(value)) {
      visit((value as Record<string, unknown>)[key], Array.isArray(value) ? `${at}[${key}]` : `${at}.${key}`);
    }
    above.delete(value);
  };
  try {
    visit(root, path);
  } catch (error) {
    if (error instanceof TrunklineError) throw error;
  }
  return refuse(path, `is nested deeper than ${DEPTH_LIMIT}`);
}

// Strings, booleans and non-zero finite numbers are most of any payload, and need neither a copy nor a path.
function scalar(value: unknown): boolean {
  if (typeof value === 'string' || typeof value === 'boolean') return true;
  return typeof value === 'number' && value !== 0 && value - value === 0;
}

// An object of another realm (a vm context) is plain too: its prototype's prototype is null.
function isClassInstance(prototype: object): boolean {
  return Object.getPrototypeOf(prototype) !== null;
}

/** JSON text of a plain value (see {@link toPlain}), refused if it holds text that not every sink can store. */
export function plainToJson(plain: unknown, path: string): string {
  const json = textOf(plain);
  // JSON.stringify escapes U+0000 and lone surrogates as \uXXXX: text without that sequence needs no second look.
  if (json.includes('\\u') && /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/i.test(json)) {
    refuse(unstorablePlace(plain, path) ?? path, 'holds text with U+0000 or a lone surrogate');
  }
  return json;
}

/** JSON text of a plain value, whatever text it holds. @throws CommandTooLarge: longer than any text may be. */
export function textOf(plain: unknown): string {
  try {
    return JSON.stringify(plain);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const limit = constants.MAX_STRING_LENGTH;
    throw new TrunklineError('CommandTooLarge', { bytes: limit + 1, limit });
  }
}

/** Where a plain value holds such text: in a string, or in a key. */
function unstorablePlace(plain: unknown, path: string): string | undefined {
  if (typeof plain === 'string') return isStorable(plain) ? undefined : path;
  if (typeof plain !== 'object' || plain === null) return undefined;
  for (const [key, item] of Object.entries(plain)) {
    if (!isStorable(key)) return path;
    const place = unstorablePlace(item, Array.isArray(plain) ? `${path}[${key}]` : `${path}.${key}`);
    if (place !== undefined) return place;
  }
  return undefined;
}

/** Check and serialise in one step. */
export function toJson(value: unknown, path: string): string {
  return plainToJson(toPlain(value, path), path);
}

/** JSON of a command's arguments. `undefined` at the end counts as not given, as in any JavaScript call. */
export function argumentsJson(input: readonly unknown[]): string {
  let count = input.length;
  if (count > argumentsLimit) refuse('arguments', `are ${count}, and may be ${argumentsLimit}`);
  while (count > 0 && input[count - 1] === undefined) count--;
  if (count === 0) return '[]';
  return toJson(count === input.length ? input : input.slice(0, count), 'arguments');
}

const errorTextLimit = 8192; // a stack and some details; far below the smallest ring's group limit

/**
 * JSON of an error, which must arrive in any case: of one of ours, what cannot be carried, or is too long, is left out.
 * A rejection is the user's own, and whole; the code that made this one has checked that it can be carried.
 */
export function errorJson(wire: WireError): string {
  try {
    const json = toJson(wire, 'error');
    if (wire.kind === 'rejected' || json.length <= errorTextLimit) return json;
  } catch {}
  return toJson({ ...wire, message: tame(wire.message, 1024), details: {} }, 'error');
}

/** Whether a value comes back from JSON as it was: nothing but plain data (an undefined property may get lost). */
export function isFaithful(value: unknown): boolean {
  wordsLeft = wordsLimit;
  return value !== undefined && isFaithfulPart(value, 0);
}

function isFaithfulPart(value: unknown, depth: number): boolean {
  if (typeof value === 'string') return (wordsLeft -= value.length) >= 0;
  if (value === null || value === undefined || typeof value === 'boolean') return true;
  if (typeof value === 'number') return value - value === 0 && !Object.is(value, -0);
  if (typeof value !== 'object' || depth > DEPTH_LIMIT) return false;
  const prototype = Object.getPrototypeOf(value);
  if (Array.isArray(value)) {
    if (prototype !== Array.prototype || (wordsLeft -= containerWords + value.length) < 0) return false;
    if (Reflect.ownKeys(value).length !== value.length + 1) return false; // beside `length`: a hole, or more than items
    for (let i = 0; i < value.length; i++) {
      if (value[i] === undefined || !isFaithfulPart(value[i], depth + 1)) return false;
    }
    return true;
  }
  // Without a prototype, as dictionaries are made: what JSON gives back has one, and finds `toString` in itself.
  if (prototype !== Object.prototype) return false;
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return false;
  const items = Object.values(value);
  if (Reflect.ownKeys(value).length !== items.length) return false; // symbols, or what is not enumerable
  wordsLeft -= containerWords + items.length;
  return wordsLeft >= 0 && items.every((item) => isFaithfulPart(item, depth + 1));
}

/** Freeze a decoded value, all the way down. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const key in value) {
    const item = value[key];
    if (typeof item === 'object' && item !== null && isOwn.call(value, key)) deepFreeze(item);
  }
  return value;
}
