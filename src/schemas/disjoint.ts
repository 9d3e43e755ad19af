// Whether no value is valid by both of two schemas: surely, or not known to be so.

import { isDeepStrictEqual } from 'node:util';
import { own } from '../base/own.ts';
import type { Branch, Node, SchemaDocument } from './document.ts';
import { kindsOf, lowerBound, propertyNames, propertyOf, requiredOf, upperBound, valuesOf } from './facets.ts';
import { isValid } from './valid.ts';

/** Objects differ by a property (a discriminator); no deeper than this. */
const depthMost = 3;

/** How many pairs of branches may still be looked at: of two unions there are as many as one has alternatives times the other's. */
export interface Pairs {
  left: number;
}

type Side = readonly [branch: Branch, document: SchemaDocument];

/** `pairs`: of a whole comparison; where none is left, it is not known. */
export function disjoint([branch, document]: Side, other: Node, itsDocument: SchemaDocument, pairs: Pairs): boolean {
  const { branches } = itsDocument.branches([other]);
  return branches.every((one) => areApart([branch, document], [one, itsDocument], 0, pairs));
}

function areApart(a: Side, b: Side, depth: number, pairs: Pairs): boolean {
  if (--pairs.left < 0) return false;
  const kinds = kindsOf(b[0]);
  const common = kindsOf(a[0]).filter((kind) => kinds.includes(kind));
  if (common.length === 0) return true;
  const values = [valuesOf(a[0]), valuesOf(b[0])];
  if (values[0] !== undefined && values[1] !== undefined) {
    return !values[0].some((one) => values[1]!.some((other) => isDeepStrictEqual(one, other)));
  }
  if (values[0] !== undefined) return values[0].every((one) => isRefused(one, b));
  if (values[1] !== undefined) return values[1].every((one) => isRefused(one, a));
  if (common.every((kind) => kind === 'integer' || kind === 'fraction'))
    return areRangesApart(a[0], b[0]) || areRangesApart(b[0], a[0]);
  return depth < depthMost && common.length === 1 && common[0] === 'object' && haveDiscriminator(a, b, depth, pairs);
}

const isRefused = (value: unknown, [branch, document]: Side): boolean =>
  branch.some((one) => isValid(value, one, document) === false);

function areRangesApart(low: Branch, high: Branch): boolean {
  return upperBound(low, false).value < lowerBound(high, false).value;
}

/** A property that each value of both must have, or that one must have and the other may not, and by which they differ. */
function haveDiscriminator(a: Side, b: Side, depth: number, pairs: Pairs): boolean {
  const [ours, theirs] = [namesOf(a[0]), namesOf(b[0])];
  const shared = [...ours.required, ...theirs.required].filter((name) => ours.all.has(name) || theirs.all.has(name));
  // First those that name their values: with them a pair costs the same, whatever else objects have.
  const tags = shared.filter((name) => ours.tags.has(name) && theirs.tags.has(name));
  return [...new Set([...tags, ...shared])].some((name) => {
    const [one, other] = [propertyOf(a[0], name), propertyOf(b[0], name)];
    if (one.includes(false) || other.includes(false)) return true;
    const sides = a[1].branches(one).branches;
    return sides.every((branch) => {
      const against = b[1].branches(other).branches;
      return against.every((it) => areApart([branch, a[1]], [it, b[1]], depth + 1, pairs));
    });
  });
}

interface Names {
  readonly all: ReadonlySet<string>;
  readonly required: readonly string[];
  /** Properties that name their values. */
  readonly tags: ReadonlySet<string>;
}

const known = new WeakMap<Branch, Names>();

/** A branch stands in many pairs. */
function namesOf(branch: Branch): Names {
  const found = known.get(branch);
  if (found !== undefined) return found;
  const all = new Set(propertyNames(branch));
  const tags = new Set([...all].filter((name) => propertyOf(branch, name).some(namesValues)));
  const names = { all, required: [...new Set(requiredOf(branch))], tags };
  known.set(branch, names);
  return names;
}

const namesValues = (node: Node): boolean =>
  typeof node === 'object' && (own(node, 'const') !== undefined || own(node, 'enum') !== undefined);
