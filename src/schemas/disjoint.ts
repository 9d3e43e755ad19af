// Whether no value is valid by both of two schemas: surely, or not known to be so.

import { isDeepStrictEqual } from 'node:util';
import type { Branch, Node, SchemaDocument } from './document.ts';
import { kindsOf, lowerBound, propertyNames, propertyOf, requiredOf, upperBound, valuesOf } from './facets.ts';
import { isValid } from './valid.ts';

/** Objects differ by a property (a discriminator); no deeper than this. */
const depthMost = 3;

type Side = readonly [branch: Branch, document: SchemaDocument];

export function disjoint([branch, document]: Side, other: Node, itsDocument: SchemaDocument, depth = 0): boolean {
  const { branches } = itsDocument.branches([other]);
  return branches.every((one) => areApart([branch, document], [one, itsDocument], depth));
}

function areApart(a: Side, b: Side, depth: number): boolean {
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
  return depth < depthMost && common.length === 1 && common[0] === 'object' && haveDiscriminator(a, b, depth);
}

const isRefused = (value: unknown, [branch, document]: Side): boolean =>
  branch.some((one) => isValid(value, one, document) === false);

function areRangesApart(low: Branch, high: Branch): boolean {
  return upperBound(low, false).value < lowerBound(high, false).value;
}

/** A property that each value of both must have, or that one must have and the other may not, and by which they differ. */
function haveDiscriminator(a: Side, b: Side, depth: number): boolean {
  const required = new Set([...requiredOf(a[0]), ...requiredOf(b[0])]);
  const names = new Set([...propertyNames(a[0]), ...propertyNames(b[0])].filter((name) => required.has(name)));
  return [...names].some((name) => {
    const [one, other] = [propertyOf(a[0], name), propertyOf(b[0], name)];
    if (one.includes(false) || other.includes(false)) return true;
    const sides = a[1].branches(one).branches;
    return sides.every((branch) => {
      const against = b[1].branches(other).branches;
      return against.every((it) => areApart([branch, a[1]], [it, b[1]], depth + 1));
    });
  });
}
