// JSON that is read back: out of the log, LMDB, a database, a ring. We have written it, perhaps by another release, and other
// hands may have changed it since: a field that is missing or of another kind is an error that names it here, not a wrong value
// somewhere else later. Shapes look at values where they are, and copy nothing. Any thread.
//
// `JSON.parse` stands in no other file, and what is read is not cast: `test/json.test.ts`.
import { TrunklineError } from './errors.ts';
import { DEPTH_LIMIT, depthOf } from './json-depth.ts';
import { own } from './own.ts';

/** What is wrong with a value; undefined: it is a T. */
export interface Shape<T> {
  (value: unknown): string | undefined;
  /** For the compiler alone. */
  readonly of?: T;
}

const kindOf = (value: unknown): string =>
  value === null ? 'null' : value === undefined ? 'missing' : Array.isArray(value) ? 'a list' : typeof value;

const must = (what: string, value: unknown): string => `must be ${what}, and is ${kindOf(value)}`;

export const text: Shape<string> = (value) => (typeof value === 'string' ? undefined : must('text', value));
export const number: Shape<number> = (value) => (typeof value === 'number' ? undefined : must('a number', value));
export const flag: Shape<boolean> = (value) => (typeof value === 'boolean' ? undefined : must('a boolean', value));
/** Whatever the user has given. */
export const anything: Shape<any> = () => undefined;

/** An integer of 64 bits as a database's client gives it: text, unless the program has set another parser of its own. */
export type Big = string | number | bigint;
export const big: Shape<Big> = (value) =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint'
    ? undefined
    : must('an integer', value);

/** As a client of a database gives a time. */
export const date: Shape<Date> = (value) => (value instanceof Date ? undefined : must('a time', value));

export const bytes: Shape<Buffer> = (value) => (Buffer.isBuffer(value) ? undefined : must('bytes', value));

/** Or undefined: a field that an earlier release did not write. */
export const optional =
  <T>(shape: Shape<T>): Shape<T | undefined> =>
  (value) =>
    value === undefined ? undefined : shape(value);

export const nullable =
  <T>(shape: Shape<T>): Shape<T | null> =>
  (value) =>
    value === null ? undefined : shape(value);

export const exactly =
  <const T extends boolean>(wanted: T): Shape<T> =>
  (value) =>
    value === wanted ? undefined : must(String(wanted), value);

export const oneOf =
  <const T extends string>(...words: readonly T[]): Shape<T> =>
  (value) =>
    words.includes(value as T) ? undefined : must(words.map((word) => `'${word}'`).join(' or '), value);

export const listOf =
  <T>(shape: Shape<T>): Shape<T[]> =>
  (value) => {
    if (!Array.isArray(value)) return must('a list', value);
    for (let i = 0; i < value.length; i++) {
      const fault = shape(value[i]);
      if (fault !== undefined) return `[${i}] ${fault}`;
    }
    return undefined;
  };

/** An object whose fields have names of the user's. */
export const record: Shape<Record<string, unknown>> = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : must('an object', value);

/** A list of just these. */
export const tuple =
  <const T extends readonly unknown[]>(...shapes: { readonly [I in keyof T]: Shape<T[I]> }): Shape<T> =>
  (value) => {
    if (!Array.isArray(value) || value.length !== shapes.length) return must(`a list of ${shapes.length}`, value);
    for (const [i, shape] of shapes.entries()) {
      const fault = shape(value[i]);
      if (fault !== undefined) return `[${i}] ${fault}`;
    }
    return undefined;
  };

/** A list that begins with these, however long it is. */
export const listFrom =
  <const Head extends readonly unknown[], Rest>(
    head: { readonly [I in keyof Head]: Shape<Head[I]> },
    rest: Shape<Rest>,
  ): Shape<[...Head, ...Rest[]]> =>
  (value) => {
    if (!Array.isArray(value) || value.length < head.length) return must(`a list of at least ${head.length}`, value);
    for (let i = 0; i < value.length; i++) {
      const fault = (head[i] ?? rest)(value[i]);
      if (fault !== undefined) return `[${i}] ${fault}`;
    }
    return undefined;
  };

export const list: Shape<unknown[]> = (value) => (Array.isArray(value) ? undefined : must('a list', value));

/** Complete by the type: a field that is added there and not here does not compile. Other fields are not looked at. */
export function object<T extends object>(fields: { readonly [K in keyof T]-?: Shape<T[K]> }): Shape<T> {
  const entries = Object.entries(fields) as [string, Shape<unknown>][];
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return must('an object', value);
    for (const [name, shape] of entries) {
      const fault = shape(own(value as Record<string, unknown>, name));
      if (fault !== undefined) return fault.startsWith('must') ? `its ${name} ${fault}` : `its ${name}${fault}`;
    }
    return undefined;
  };
}

/** For a reader that has its own word for what does not fit. */
export const fits = <T>(value: unknown, shape: Shape<T>): value is T => shape(value) === undefined;

/** `what`: as the error names it. @throws RecordInvalid */
export function checked<T>(value: unknown, shape: Shape<T>, what: string): T {
  const reason = shape(value);
  if (reason === undefined) return value as T;
  throw new TrunklineError('RecordInvalid', { what, reason });
}

/** @throws RecordInvalid */
export function checkedJson<T>(json: string, shape: Shape<T>, what: string): T {
  return checked(parsed(json, what), shape, what);
}

/** What may be written is nested no deeper: a value of the user's, with two objects of ours around it. */
const keptDepthMost = DEPTH_LIMIT + 3;

/** An entry whose shape its reader knows: it goes through {@link checked}. @throws RecordInvalid */
export function keptJson(json: string): unknown {
  checkDepth(json, keptDepthMost, 'an entry');
  return parsed(json, 'an entry');
}

/** What is deeper ends the stack of the code that freezes or prints it. @throws RecordInvalid */
export function checkDepth(json: string, most: number, what: string): void {
  if (json.length <= 2 * most || depthOf(json) <= most) return;
  throw new TrunklineError('RecordInvalid', { what, reason: `is nested deeper than ${DEPTH_LIMIT}` });
}

/** Of the same kind as it was before it was written: what an aggregate's own schema, or its handler, makes of it. */
export function userJson(json: string): any {
  return JSON.parse(json);
}

function parsed(json: string, what: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new TrunklineError('RecordInvalid', { what, reason: 'is no JSON' }, { cause });
  }
}
