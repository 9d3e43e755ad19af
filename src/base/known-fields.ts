// Option objects: one that is none, that has an unknown field, or a value that its field cannot take, is refused at the
// edge. A misspelt field would otherwise be ignored in silence; what was probably meant is suggested.
import { isDate } from 'node:util/types';
import { TrunklineError } from './errors.ts';
import { own } from './own.ts';

/**
 * What a field takes. `true`: its values are checked where they are used; here only what no option takes is refused (symbols,
 * bigints, proxies that cannot be read). `any`: whatever is given, since it is data. `secret`: text, or a function that gives it.
 */
export type Kind = true | 'text' | 'secret' | 'boolean' | 'function' | 'list' | 'object' | 'any';

/** The fields of an options type, and what they take. */
export interface Fields {
  readonly names: readonly string[];
  readonly kinds: Readonly<Record<string, Kind>>;
  /** Whether there is one to look at. */
  readonly isChecked: boolean;
}

/** Complete by the type: a field that is added there and not here does not compile. */
export function fieldsOf<Options>(kinds: Record<keyof Options, Kind>): Fields {
  const isChecked = Object.values(kinds).some((kind) => kind !== 'any');
  return { names: Object.keys(kinds), kinds: { __proto__: null, ...kinds } as never, isChecked };
}

/** What is given: a field that is `undefined` counts as left out, so that it does not hide a default in a spread. */
export function given<Options extends object>(options: Options | undefined): Partial<Options> {
  return Object.fromEntries(
    Object.entries(options ?? {}).filter(([, value]) => value !== undefined),
  ) as Partial<Options>;
}

/**
 * Options as they are in the call, with lists and dates of their own: what is read after a wait is what was given, whatever the
 * caller has made of it by then.
 * @throws InvalidOptions: a list is too long
 */
export function taken<Options extends object>(options: Options, { names }: Pick<Fields, 'names'>): Options {
  const named = names.filter((name) => name in options);
  return Object.fromEntries(named.map((name) => [name, copied(name, options[name as keyof Options])])) as Options;
}

function copied(option: string, value: unknown): unknown {
  if (!Array.isArray(value)) return isDate(value) ? new Date(value) : value;
  const reason = tooLong(value); // `checkFields` has not seen one that is inherited
  if (reason === undefined) return [...value];
  throw new TrunklineError('InvalidOptions', { option, reason });
}

/** More than any list of options has. `Array(4e9)` costs nothing to make; to copy it, or walk it, takes minutes, or the heap. */
const LIST_LIMIT = 100_000;

const tooLong = ({ length }: readonly unknown[]): string | undefined =>
  length > LIST_LIMIT ? `must have ${LIST_LIMIT} entries at most` : undefined;

/** Refuse what is no object, and unknown fields. `option`: what it is called, as `flush`; '' at the top. */
export function checkFields(option: string, given: unknown, known: Fields | readonly string[]): void {
  const refuse = (field: string, reason: string): never => {
    throw new TrunklineError('InvalidOptions', { option: field, reason });
  };
  let unknown: ReturnType<typeof unknownField>;
  try {
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
      return refuse(
        option || 'options',
        `must be an object, and is ${given === null ? 'null' : Array.isArray(given) ? 'a list' : typeof given}`,
      );
    }
    if (isNoOptions(given)) return refuse(option || 'options', 'must be a plain object');
    const names = 'names' in known ? known.names : known;
    unknown = unknownField(given, names);
    checkInherited(option, given, names);
    if (unknown === undefined) checkKinds(option, given as Record<string, unknown>, known);
  } catch (error) {
    if (error instanceof TrunklineError) throw error;
    return refuse(option || 'options', 'cannot be read'); // a revoked proxy, say
  }
  // Its value is not shown: it may be a secret under a misspelt name.
  if (unknown === undefined) return;
  refuse(option === '' ? unknown.field : `${option}.${unknown.field}`, unknown.reason);
}

/**
 * A field that every object has from `Object.prototype`, since something has polluted it: options would be read with a
 * value that the caller has not given, as a module to import. One that a class of the user's gives to its options is theirs.
 */
function checkInherited(option: string, given: object, names: readonly string[]): void {
  for (const field of names) {
    if (!(field in Object.prototype) || Object.hasOwn(given, field)) continue;
    const reason = 'is in Object.prototype, which something has changed: every object seems to have it';
    throw new TrunklineError('InvalidOptions', { option: option === '' ? field : `${option}.${field}`, reason });
  }
}

/** A Date, a Map, a promise …: given in the place of options, it would count as none at all. */
function isNoOptions(given: object): boolean {
  const prototype = Object.getPrototypeOf(given);
  return prototype !== Object.prototype && prototype !== null && Object.keys(given).length === 0 && isBuiltIn(given);
}

const isBuiltIn = (given: object): boolean => Object.prototype.toString.call(given) !== '[object Object]';

function checkKinds(option: string, given: Readonly<Record<string, unknown>>, known: Fields | readonly string[]): void {
  if ('isChecked' in known && !known.isChecked) return;
  for (const field of 'names' in known ? known.names : Object.keys(given)) {
    const value = own(given, field);
    if (value === undefined) continue;
    const kind = 'kinds' in known ? own(known.kinds, field)! : true;
    const reason = kind === 'any' ? undefined : unfit(value, kind);
    if (reason === undefined) continue;
    // Its value is not shown: it may be a secret.
    throw new TrunklineError('InvalidOptions', { option: option === '' ? field : `${option}.${field}`, reason });
  }
}

/** Why a value cannot be what is meant; undefined if it may be. */
function unfit(value: unknown, kind: Kind): string | undefined {
  const type = typeof value;
  const what = value === null ? 'null' : type;
  if (type === 'symbol' || type === 'bigint') return `must not be a ${type}`;
  let isList = false;
  if (type === 'object' || type === 'function') {
    try {
      isList = Array.isArray(value);
      Reflect.getPrototypeOf(value as object);
    } catch {
      return 'cannot be read'; // a revoked proxy, say
    }
  }
  const long = isList ? tooLong(value as unknown[]) : undefined;
  if (long !== undefined) return long;
  switch (kind) {
    case 'secret':
      if (type === 'function') return undefined;
      if (type !== 'string') return 'must be text, or a function that gives it';
      return isSound(value as string) ? undefined : 'must hold neither U+0000 nor half a character';
    case 'text':
      if (type !== 'string') return `must be text, and is ${isList ? 'a list' : what}`;
      return isSound(value as string) ? undefined : 'must hold neither U+0000 nor half a character';
    case 'boolean':
    case 'function':
      if (type === kind) return undefined;
      return `must be ${kind === 'boolean' ? 'true or false' : 'a function'}, and is ${isList ? 'a list' : what}`;
    case 'list':
      return isList ? undefined : `must be a list, and is ${what}`;
    case 'object':
      if (type !== 'object' || value === null || isList) return `must be an object, and is ${isList ? 'a list' : what}`;
      return isBuiltIn(value as object) ? 'must be a plain object' : undefined;
    default:
      return undefined;
  }
}

const isSound = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

/** The first unknown field, and what to say about it. */
export function unknownField(given: object, known: readonly string[]): { field: string; reason: string } | undefined {
  const field = Object.keys(given).find((key) => !known.includes(key));
  if (field === undefined) return undefined;
  const meant = nearest(field, known);
  const suggestion = meant === undefined ? '' : `; did you mean '${meant}'?`;
  return { field, reason: `is unknown${suggestion} (known: ${known.join(', ')})` };
}

/** The known name that a misspelt one is nearest to; undefined if none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const edits = editsBetween(name.toLowerCase(), candidate.toLowerCase());
    if (edits < least) [best, least] = [candidate, edits];
  }
  return best;
}

/** How many letters must be put in, left out or exchanged to make one name of the other. */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const exchanged = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(exchanged, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
