// What every edge checks of what a user has given: ids, dates, numbers. Each throws a typed error that names it.
import { isDate } from 'node:util/types';
import { TrunklineError } from './errors.ts';
import { checkFields } from './known-fields.ts';
import { AGGREGATE_ID_BYTES_LIMIT, AGGREGATE_TYPE_BYTES_LIMIT } from './name-limits.ts';
import { shown } from './shown.ts';

export const deadlineLimitMs: number = 2 ** 31 - 1; // what a timer can take

export function invalid(option: string, value: unknown, reason: string): never {
  throw new TrunklineError('InvalidOptions', { option, value: shown(value), reason });
}

/**
 * What is wrong with a name of the user's; undefined: nothing. Names go into frames, tables and file names as UTF-8, which
 * has no half characters: one would come back as another name.
 */
export function nameFault(name: unknown, limit: number): string | undefined {
  if (typeof name !== 'string' || name === '') return 'must be a text that is not empty';
  if (Buffer.byteLength(name) > limit) return `is longer than ${limit} bytes`;
  if (!name.isWellFormed()) return 'holds a lone surrogate, half a character';
  return /\p{Cc}/u.test(name) ? 'holds a control character' : undefined;
}

/** Check an id of an aggregate, a key, a name of the user's. */
export function checkId(what: string, id: string, limit: number = AGGREGATE_ID_BYTES_LIMIT): void {
  if (typeof id !== 'string') {
    const given = id === null ? 'null' : typeof id;
    throw new TrunklineError('InvalidId', { what, length: 0, limit, reason: `must be text, and is ${given}` });
  }
  // Up to a third of the limit no count is needed: UTF-8 takes at most three bytes a unit.
  const length = id.length * 3 <= limit ? id.length : Buffer.byteLength(id);
  if (length === 0 || length > limit) throw new TrunklineError('InvalidId', { what, length, limit });
  if (id.includes('\0')) {
    throw new TrunklineError('InvalidId', { what, length, limit, reason: 'holds U+0000, which not every store takes' });
  }
  if (!id.isWellFormed()) {
    throw new TrunklineError('InvalidId', { what, length, limit, reason: 'holds a lone surrogate, half a character' });
  }
}

export function checkInteger(option: string, value: number, low: number, high: number): number {
  if (Number.isSafeInteger(value) && value >= low && value <= high) return value;
  return invalid(option, value, `must be an integer from ${low} to ${high}`);
}

/** Which event types are wanted: a list that is not empty, of names. @throws InvalidOptions */
export function checkTypeList(option: string, types: unknown, forAll: string): void {
  if (!Array.isArray(types)) invalid(option, types, `must be a list of event types; ${forAll}`);
  const list = types as unknown[];
  if (list.length === 0) invalid(option, [], `is empty, and would select nothing; name event types, or ${forAll}`);
  const wrong = list.findIndex((type) => typeof type !== 'string' || type === '');
  if (wrong >= 0) invalid(`${option}[${wrong}]`, list[wrong], 'must be the name of an event type');
}

export function checkDeadline(option: string, deadlineMs: number): void {
  if (typeof deadlineMs === 'number' && deadlineMs > 0 && deadlineMs <= deadlineLimitMs) return;
  invalid(option, deadlineMs, `must be milliseconds, more than 0 and at most ${deadlineLimitMs}`);
}

/** The last date there is: milliseconds since 1970. */
export const dateMostMs = 8.64e15;

/** How long until something is due, of no bound but that of dates. */
export function checkDelay(option: string, delayMs: number): void {
  if (typeof delayMs === 'number' && delayMs >= 0 && delayMs <= dateMostMs) return;
  invalid(option, delayMs, `must be milliseconds, from 0 to ${dateMostMs}`);
}

export function checkDate(option: string, date: Date): void {
  // Not instanceof: a Date of another realm (a vm context, jest) is one, too.
  if (isDate(date) && !Number.isNaN(date.getTime())) return;
  invalid(option, date, 'must be a valid Date');
}

export function checkSignal(signal: AbortSignal): void {
  if (!(signal instanceof AbortSignal)) invalid('signal', signal, 'must be an AbortSignal');
}

/** True, false, or options of TLS; not shown, they may hold a key. */
export function checkTls(option: string, tls: unknown): void {
  if (typeof tls === 'boolean') return;
  const prototype = typeof tls === 'object' && tls !== null ? Object.getPrototypeOf(tls) : undefined;
  if (prototype === Object.prototype || prototype === null) return;
  invalid(option, undefined, 'must be true, false, or a plain object with options of TLS');
}

/** A machine that is reached without TLS, or unverified; and whether a password or token goes there as it is. */
export interface OpenHost {
  readonly host: string;
  readonly sendsSecret: boolean;
}

/** Whether options of TLS leave a connection open: there are none, or the server is not verified. */
export function isOpenTls(tls: unknown): boolean {
  return !tls || (tls as { rejectUnauthorized?: unknown }).rejectUnauthorized === false;
}

/** Whether a host is this machine: what goes there is on no wire. */
export function isLoopback(host: string): boolean {
  return host === '' || host.startsWith('/') || /^(localhost|127(\.\d+){3}|\[?::1\]?)$/i.test(host);
}

/** Options of what only waits: a signal, or nothing. */
export function checkSignalOptions(option: string, options: { signal?: AbortSignal }): void {
  checkFields(option, options, ['signal']);
  if (options.signal !== undefined) checkSignal(options.signal);
}

/** `instanceof`, also for what cannot be looked at. */
export function isMadeBy<T>(made: abstract new (...args: any[]) => T, value: unknown): value is T {
  try {
    return value instanceof made;
  } catch {
    return false; // a revoked proxy, say
  }
}

/** An object whose fields have names of the user's. */
export function checkRecord(option: string, given: unknown): void {
  let isObject = typeof given === 'object' && given !== null;
  try {
    isObject = isObject && !Array.isArray(given) && Object.entries(given as object) !== undefined;
  } catch {
    isObject = false; // a revoked proxy, say
  }
  if (!isObject || given instanceof Date) invalid(option, given, 'must be an object');
}

export function checkFunction(option: string, given: unknown): void {
  if (typeof given !== 'function') invalid(option, given, 'must be a function');
}

/** A definition, or the name of an aggregate type, which need not be known. */
export function checkAggregate(aggregate: { readonly name: string; readonly events: object } | string): void {
  let name: unknown = aggregate;
  try {
    if (typeof aggregate !== 'string') name = typeof aggregate?.events === 'object' ? aggregate.name : undefined;
  } catch {
    name = undefined; // a revoked proxy, say
  }
  if (name === undefined) invalid('aggregate', aggregate, 'must be a name, or made by defineAggregate()');
  checkId('aggregate type', name as string, AGGREGATE_TYPE_BYTES_LIMIT);
}

/** What another thread is given must survive the way there. @throws InvalidOptions */
export function checkCrosses(option: string, value: unknown): void {
  try {
    structuredClone(value);
  } catch {
    // What the platform says of it holds the source text of functions.
    invalid(option, value, 'cannot cross threads: put functions, and what else cannot be cloned, into the module');
  }
}

/** The name of a definition that users hand over. @throws InvalidOptions: it is none */
export function nameOfDefinition(aggregate: unknown): string {
  if (aggregate === undefined) {
    invalid('aggregate', aggregate, 'is undefined: do two modules import each other, or is an export misspelt?');
  }
  if (typeof aggregate === 'string') {
    invalid('aggregate', aggregate, 'is a name: give what defineAggregate() has returned');
  }
  const { name } = (aggregate ?? {}) as { name?: unknown };
  if (typeof aggregate === 'object' && typeof name === 'string') return name;
  return invalid('aggregate', aggregate, 'must be what defineAggregate() has returned');
}
