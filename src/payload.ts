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
// | text with U+0000 or a lone surrogate | refused: PostgreSQL's jsonb could not take it |
import { types } from 'node:util';
import { TrunklineError, type WireError } from './errors.ts';

/** Deeper than any document a person writes; far below the stack's limit, here and in PostgreSQL. */
export const DEPTH_LIMIT = 200;

// `for … in` with this costs nothing beyond `for … in`; a list of the keys doubles the cost of the walk.
const isOwn = Object.prototype.hasOwnProperty;

function refuse(path: string, reason: string): never {
  throw new TrunklineError('UnserialisableValue', { path, reason });
}

/** A copy of `value` that equals `JSON.parse(JSON.stringify(value))`, or `UnserialisableValue` naming the place. */
export function toPlain(value: unknown, path: string, depth = 0): unknown {
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
    const json = (value as { toJSON(): unknown }).toJSON();
    if (json === null && types.isDate(value)) refuse(path, 'is an invalid Date');
    return toPlain(json, path, depth + 1);
  }
  if (Array.isArray(value)) {
    // A spread, for a plain array and without holes, whatever was given.
    const copy: unknown[] = [...value];
    for (let i = 0; i < copy.length; i++) {
      if (!scalar(copy[i])) copy[i] = toPlain(copy[i], `${path}[${i}]`, depth + 1);
    }
    return copy;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    if (Object.prototype.toString.call(value) !== '[object Object]' || isClassInstance(prototype)) {
      refuse(path, `is a ${prototype.constructor?.name ?? 'class'} instance without toJSON()`);
    }
  }
  const copy: Record<string, unknown> = { ...(value as Record<string, unknown>) };
  const symbols = Object.getOwnPropertySymbols(copy); // JSON does not see them
  for (const symbol of symbols) delete copy[symbol as unknown as string];
  for (const key in copy) {
    if (!isOwn.call(copy, key)) continue; // what a library has put on Object.prototype is no payload
    const item = copy[key];
    if (scalar(item)) continue;
    if (item === undefined) delete copy[key];
    else copy[key] = toPlain(item, `${path}.${key}`, depth + 1);
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
  const json = JSON.stringify(plain);
  // JSON.stringify escapes U+0000 and lone surrogates as \uXXXX: text without that sequence needs no second look.
  if (json.includes('\\u') && /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/i.test(json)) {
    refuse(unstorablePlace(plain, path) ?? path, 'holds text with U+0000 or a lone surrogate');
  }
  return json;
}

/** Whether every store can hold the text. */
export const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0');

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
  while (count > 0 && input[count - 1] === undefined) count--;
  if (count === 0) return '[]';
  return toJson(count === input.length ? input : input.slice(0, count), 'arguments');
}

const errorTextLimit = 8192; // a stack and some details; far below the smallest ring's group limit

/**
 * JSON of an error, which must be told in any case: of one of ours, what cannot be carried, or is too long, is left out.
 * A rejection is the user's own, and whole; whoever made it has seen to it that it can be carried.
 */
export function errorJson(wire: WireError): string {
  try {
    const json = toJson(wire, 'error');
    if (wire.kind === 'rejected' || json.length <= errorTextLimit) return json;
  } catch {}
  return toJson(
    { ...wire, message: wire.message.slice(0, 1024).toWellFormed().replaceAll('\0', ''), details: {} },
    'error',
  );
}

/** Whether a value comes back from JSON as it was: nothing but plain data (an undefined property may get lost). */
export function isFaithful(value: unknown, depth = 0): boolean {
  if (value === null || value === undefined || typeof value === 'string' || typeof value === 'boolean') {
    return value !== undefined || depth > 0;
  }
  if (typeof value === 'number') return value - value === 0 && !Object.is(value, -0);
  if (typeof value !== 'object' || depth > DEPTH_LIMIT) return false;
  const prototype = Object.getPrototypeOf(value);
  if (Array.isArray(value)) {
    if (prototype !== Array.prototype) return false;
    for (let i = 0; i < value.length; i++) if (value[i] === undefined || !isFaithful(value[i], depth + 1)) return false;
    return true;
  }
  if (prototype !== null && prototype !== Object.prototype) return false;
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return false;
  return Object.values(value).every((item) => isFaithful(item, depth + 1));
}

/** Freeze a decoded value, all the way down. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const key in value) if (isOwn.call(value, key)) deepFreeze(value[key]);
  }
  return value;
}
