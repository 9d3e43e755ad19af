// Whether a value is valid by a JSON Schema: yes, no, or (undefined) unknown, because of a keyword that is not known
// here, a format, or a reference that leads nowhere.

import { isDeepStrictEqual } from 'node:util';
import { own } from '../base/own.ts';
import {
  type Fields,
  isAnnotation,
  isFields,
  type Node,
  namedIn,
  nodeIn,
  nodesIn,
  type SchemaDocument,
} from './document.ts';
import { demandsOn, kindOf, listOf, namedKinds, namedValues, patternOf } from './facets.ts';
import { isOfFormat } from './formats.ts';

type Verdict = boolean | undefined;
type Within = (one: Node, part?: unknown) => Verdict;

/** Keywords that are looked at below, or that say nothing of values. Beside annotations, any other one makes a yes impossible. */
const knownKeywords: ReadonlySet<string> = new Set([
  ...['$defs', 'definitions', '$ref', 'allOf', 'anyOf', 'oneOf', 'not', 'type', 'enum', 'const', 'format', 'pattern'],
  ...['minLength', 'maxLength', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  ...['items', 'prefixItems', 'additionalItems', 'minItems', 'maxItems', 'uniqueItems', 'properties', 'required'],
  ...['patternProperties', 'additionalProperties', 'propertyNames', 'minProperties', 'maxProperties'],
  ...['contentEncoding', 'contentMediaType'], // descriptions, by the standard
]);

/** A schema that refers to itself may not end; what takes longer is unknown. */
const depthMost = 100;
const stepsMost = 20_000;

/** No one no; yes where all say yes. */
function all(verdicts: Iterable<Verdict>): Verdict {
  let found: Verdict = true;
  for (const verdict of verdicts) {
    if (verdict === false) return false;
    if (verdict === undefined) found = undefined;
  }
  return found;
}

export function isValid(value: unknown, node: Node, document: SchemaDocument): Verdict {
  let steps = 0;
  const judge = (part: unknown, one: Node, depth: number): Verdict => {
    if (typeof one === 'boolean') return one;
    if (depth > depthMost || ++steps > stepsMost) return undefined;
    const within: Within = (inner, deeper = part) => judge(deeper, inner, depth + 1);
    const ref = own(one, '$ref');
    const byRef = ref === undefined ? true : referred(document.target(ref), within);
    if (ref !== undefined && document.isOld) return byRef;
    return all(verdicts(byRef, part, one, within));
  };
  return judge(value, node, 0);
}

/** One by one, the cheapest first: where one says no, the others are not looked at. */
function* verdicts(byRef: Verdict, part: unknown, one: Fields, within: Within): Generator<Verdict> {
  yield byRef;
  yield simple(part, one);
  yield* parts(part, one, within);
  yield Object.keys(one).every((keyword) => knownKeywords.has(keyword) || isAnnotation(keyword)) || undefined;
  yield* combined(one, within);
}

const referred = (target: Node | undefined, within: (one: Node) => Verdict): Verdict =>
  target === undefined ? undefined : within(target);

function* combined(node: Fields, within: (one: Node) => Verdict): Generator<Verdict> {
  for (const one of nodesIn(node, 'allOf')) yield within(one);
  if (own(node, 'anyOf') !== undefined) yield anyOf(nodesIn(node, 'anyOf'), within);
  if (own(node, 'oneOf') !== undefined) yield oneOf(nodesIn(node, 'oneOf'), within);
  const not = nodeIn(node, 'not');
  if (not !== undefined) {
    const refused = within(not);
    yield refused === undefined ? undefined : !refused;
  }
}

function anyOf(nodes: readonly Node[], within: (one: Node) => Verdict): Verdict {
  let found: Verdict = false;
  for (const one of nodes) {
    const verdict = within(one);
    if (verdict === true) return true;
    if (verdict === undefined) found = undefined;
  }
  return found;
}

function oneOf(nodes: readonly Node[], within: (one: Node) => Verdict): Verdict {
  let [count, isSure] = [0, true];
  for (const one of nodes) {
    const verdict = within(one);
    if (verdict === true && ++count > 1) return false;
    if (verdict === undefined) isSure = false;
  }
  return isSure ? count === 1 : undefined;
}

/** What needs no other schema. */
function simple(value: unknown, node: Fields): Verdict {
  const kind = kindOf(value);
  if (kind === undefined || !namedKinds(node).includes(kind)) return false;
  const values = namedValues(node);
  if (values !== undefined && !values.some((one) => isDeepStrictEqual(one, value))) return false;
  if (typeof value === 'number') return isNumberValid(value, node);
  if (typeof value === 'string') return isTextValid(value, node);
  if (Array.isArray(value)) return isCounted(value.length, node, 'minItems', 'maxItems') && isUnique(value, node);
  if (!isFields(value)) return true;
  const required = own(node, 'required');
  if (Array.isArray(required) && !required.every((name) => Object.hasOwn(value, name))) return false;
  return isCounted(Object.keys(value).length, node, 'minProperties', 'maxProperties');
}

const limit = (node: Fields, keyword: string, none: number): number => {
  const value = own(node, keyword);
  return typeof value === 'number' ? value : none;
};

const isCounted = (count: number, node: Fields, least: string, most: string): boolean =>
  count >= limit(node, least, 0) && count <= limit(node, most, Infinity);

function isNumberValid(value: number, node: Fields): Verdict {
  const isWithin =
    value >= limit(node, 'minimum', -Infinity) &&
    value <= limit(node, 'maximum', Infinity) &&
    value > limit(node, 'exclusiveMinimum', -Infinity) &&
    value < limit(node, 'exclusiveMaximum', Infinity);
  const factor = own(node, 'multipleOf');
  if (!isWithin || typeof factor !== 'number') return isWithin;
  if (Number.isInteger(value) && Number.isInteger(factor) && Number.isSafeInteger(value)) return value % factor === 0;
  return value === 0 || value === factor ? true : undefined; // validators round fractions in several ways
}

function isTextValid(value: string, node: Fields): Verdict {
  const length = value.length <= limit(node, 'maxLength', Infinity) ? value.length : [...value].length;
  if (length > limit(node, 'maxLength', Infinity)) return false;
  if ([...value].length < limit(node, 'minLength', 0)) return false;
  const pattern = own(node, 'pattern');
  if (pattern !== undefined && patternOf(pattern)?.test(value) === false) return false;
  if (pattern !== undefined && patternOf(pattern) === undefined) return undefined;
  const format = own(node, 'format');
  return format === undefined || isOfFormat(value, format) || undefined;
}

const isUnique = (list: readonly unknown[], node: Fields): boolean =>
  own(node, 'uniqueItems') !== true ||
  list.every((one, i) => !list.slice(0, i).some((before) => isDeepStrictEqual(before, one)));

function* parts(value: unknown, node: Fields, within: Within): Generator<Verdict> {
  if (Array.isArray(value)) {
    const { prefix, rest } = listOf(node);
    for (const [i, item] of value.entries())
      yield within(prefix[i] ?? (i < prefix.length ? true : (rest ?? true)), item);
  } else if (isFields(value)) {
    const names = nodeIn(node, 'propertyNames');
    const unread = namedIn(node, 'patternProperties').some(([pattern]) => patternOf(pattern) === undefined);
    if (unread) yield undefined;
    for (const [name, part] of Object.entries(value)) {
      for (const one of demandsOn(node, name)) yield within(one, part);
      if (names !== undefined) yield within(names, name);
    }
  }
}
