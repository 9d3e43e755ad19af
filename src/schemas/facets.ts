// What a branch (schemas that all hold at once) demands of values, kind by kind: the tightest of each bound. What has no facet
// here is left out, so a branch may demand more than its facets say, never less.

import { isDeepStrictEqual } from 'node:util';
import { own } from '../base/own.ts';
import { type Branch, type Fields, isFields, type Node, namedIn, nodeIn, nodesIn } from './document.ts';

/** Kinds of JSON values. `number` of JSON Schema is both `integer` and `fraction`. */
export type Kind = 'null' | 'boolean' | 'object' | 'array' | 'string' | 'integer' | 'fraction';

const allKinds: readonly Kind[] = ['null', 'boolean', 'object', 'array', 'string', 'integer', 'fraction'];

export function kindOf(value: unknown): Kind | undefined {
  if (value === null) return 'null';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'fraction';
  if (Array.isArray(value)) return 'array';
  const kind = typeof value;
  return kind === 'boolean' || kind === 'object' || kind === 'string' ? kind : undefined;
}

/** The kinds that one schema's `type` names. */
export function namedKinds(fields: Fields): readonly Kind[] {
  const named = own(fields, 'type');
  if (named === undefined) return allKinds;
  const list: readonly unknown[] = Array.isArray(named) ? named : [named];
  return allKinds.filter((kind) => list.includes(kind) || (list.includes('number') && /integer|fraction/.test(kind)));
}

/** The values that one schema names one by one; undefined: it names none. */
export function namedValues(fields: Fields): readonly unknown[] | undefined {
  const list = own(fields, 'enum');
  const all = Array.isArray(list) ? list : undefined;
  if (!Object.hasOwn(fields, 'const')) return all;
  return [fields.const].filter((one) => all === undefined || all.some((other) => isDeepStrictEqual(one, other)));
}

/** The kinds that a branch allows. */
export function kindsOf(branch: Branch): readonly Kind[] {
  const values = valuesOf(branch);
  const named = values && new Set(values.map(kindOf));
  return allKinds.filter((kind) => branch.every((one) => namedKinds(one).includes(kind)) && named?.has(kind) !== false);
}

/** The values of a branch, where it allows only some that can be counted; some of them it may refuse. */
export function valuesOf(branch: Branch): readonly unknown[] | undefined {
  const lists = branch.map(namedValues).filter((list) => list !== undefined);
  const [first, ...others] = lists;
  const isIn = (list: readonly unknown[], value: unknown): boolean => list.some((one) => isDeepStrictEqual(one, value));
  if (first !== undefined) return first.filter((value) => others.every((list) => isIn(list, value)));
  const kinds = allKinds.filter((kind) => branch.every((one) => namedKinds(one).includes(kind)));
  if (!kinds.every((kind) => kind === 'null' || kind === 'boolean')) return undefined;
  return kinds.flatMap((kind) => (kind === 'null' ? [null] : [false, true]));
}

/** Numbers that keywords of these names hold. */
export function numbersOf(branch: Branch, keyword: string): number[] {
  return branch.map((one) => own(one, keyword)).filter((value) => typeof value === 'number');
}

/** The largest that a keyword demands; `none` where it stands nowhere. */
export const atLeast = (branch: Branch, keyword: string, none: number): number =>
  Math.max(none, ...numbersOf(branch, keyword));
export const atMost = (branch: Branch, keyword: string): number => Math.min(Infinity, ...numbersOf(branch, keyword));

export interface Bound {
  readonly value: number;
  readonly isExclusive: boolean;
}

/** Of numbers. `onlyIntegers`: an exclusive bound is moved to the next integer. */
export function lowerBound(branch: Branch, onlyIntegers: boolean): Bound {
  const value = atLeast(branch, 'minimum', -Infinity);
  const over = atLeast(branch, 'exclusiveMinimum', -Infinity);
  if (!onlyIntegers)
    return over >= value && over > -Infinity ? { value: over, isExclusive: true } : { value, isExclusive: false };
  return { value: Math.max(Math.ceil(value), Math.floor(over) + 1), isExclusive: false };
}

export function upperBound(branch: Branch, onlyIntegers: boolean): Bound {
  const value = atMost(branch, 'maximum');
  const under = atMost(branch, 'exclusiveMaximum');
  if (!onlyIntegers)
    return under <= value && under < Infinity ? { value: under, isExclusive: true } : { value, isExclusive: false };
  return { value: Math.min(Math.floor(value), Math.ceil(under) - 1), isExclusive: false };
}

/** What all of a branch demand of an item: by its place, or of every one behind the places that are named (undefined). */
export function itemsOf(branch: Branch, index: number | undefined): Node[] {
  return branch.flatMap((one): Node[] => {
    const { prefix, rest } = listOf(one);
    const item = index !== undefined && index < prefix.length ? prefix[index] : rest;
    return item === undefined ? [] : [item];
  });
}

/** How many places are named. */
export const prefixLength = (branch: Branch): number => Math.max(0, ...branch.map((one) => listOf(one).prefix.length));

/** The older dialects name the places in `items`, and what follows in `additionalItems`. */
export function listOf(fields: Fields): { readonly prefix: readonly Node[]; readonly rest: Node | undefined } {
  if (Array.isArray(own(fields, 'items'))) {
    return { prefix: nodesIn(fields, 'items'), rest: nodeIn(fields, 'additionalItems') };
  }
  return { prefix: nodesIn(fields, 'prefixItems'), rest: nodeIn(fields, 'items') };
}

/** Names that have a schema of their own, or must be there. */
export function propertyNames(branch: Branch): string[] {
  const named = branch.flatMap((one) => namedIn(one, 'properties').map(([name]) => name));
  return [...new Set([...named, ...requiredOf(branch)])];
}

export function requiredOf(branch: Branch): string[] {
  const lists = branch.map((one) => own(one, 'required')).filter((list) => Array.isArray(list));
  return [...new Set(lists.flat().filter((name) => typeof name === 'string'))];
}

/** What all of a branch demand of the property of that name. */
export function propertyOf(branch: Branch, name: string): Node[] {
  return branch.flatMap((one) => demandsOn(one, name));
}

/** What one schema demands of the property of that name. A pattern that cannot be read counts for nothing. */
export function demandsOn(fields: Fields, name: string): Node[] {
  const properties = own(fields, 'properties');
  const named = isFields(properties) ? nodeIn(properties, name) : undefined;
  const byPattern = namedIn(fields, 'patternProperties').filter(([pattern]) => patternOf(pattern)?.test(name));
  const found = [...(named === undefined ? [] : [named]), ...byPattern.map(([, node]) => node)];
  if (found.length > 0) return found;
  const others = nodeIn(fields, 'additionalProperties');
  return others === undefined || namedIn(fields, 'patternProperties').some(([one]) => patternOf(one) === undefined)
    ? []
    : [others];
}

/** The schemas that a keyword holds. */
export function keywordNodes(branch: Branch, keyword: string): Node[] {
  return branch.map((one) => nodeIn(one, keyword)).filter((node) => node !== undefined);
}

/** Whether objects have no properties but those that are named. */
export const isClosed = (branch: Branch): boolean =>
  branch.some((one) => own(one, 'additionalProperties') === false && namedIn(one, 'patternProperties').length === 0);

/** As validators read it; undefined: they would refuse it. */
export function patternOf(source: unknown): RegExp | undefined {
  try {
    return typeof source === 'string' ? new RegExp(source, 'u') : undefined;
  } catch {
    return undefined;
  }
}
