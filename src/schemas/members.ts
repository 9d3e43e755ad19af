// What one schema demands of the items of lists and of the properties of objects, against a branch whose values are to be valid.

import { own } from '../base/own.ts';
import { type Break, type Comparing, cannotTell, itemAt, othersAt, type Place, propertyAt } from './breaks.ts';
import { type Branch, type Fields, type Node, namedIn, nodeIn } from './document.ts';
import {
  atLeast,
  atMost,
  isClosed,
  itemsOf,
  keywordNodes,
  patternOf,
  prefixLength,
  propertyNames,
  propertyOf,
  requiredOf,
} from './facets.ts';
import { isValid } from './valid.ts';

/** `range`: what the branch's values have for another reason. */
export function brokenCount(
  branch: Branch,
  to: Fields,
  [low, high]: readonly [low: string, high: string],
  { path }: Place,
  range: readonly [least: number, most: number] = [0, Infinity],
): Break[] {
  const least = atLeast([to], low, 0);
  const most = atMost([to], high);
  const found: Break[] = [];
  if (atLeast(branch, low, range[0]) < least) found.push({ path, reason: `its ${low} is ${least} now` });
  if (Math.min(atMost(branch, high), range[1]) > most) found.push({ path, reason: `its ${high} is ${most} now` });
  return found;
}

export function brokenItems(comparing: Comparing, branch: Branch, to: Fields, at: Place): Break[] {
  const most = atMost(branch, 'maxItems');
  const found = brokenCount(branch, to, ['minItems', 'maxItems'], at);
  const wasUnique = most <= 1 || branch.some((one) => own(one, 'uniqueItems') === true);
  if (own(to, 'uniqueItems') === true && !wasUnique) found.push({ path: at.path, reason: 'its items are unique now' });
  const places = Math.max(prefixLength(branch), prefixLength([to]));
  const compare = (index: number | undefined, place: Place): void => {
    for (const node of itemsOf([to], index)) found.push(...comparing.compare(itemsOf(branch, index), node, place));
  };
  for (let i = 0; i < places && i < most; i++) compare(i, itemAt(at, i));
  if (most > places) compare(undefined, itemAt(at, '*'));
  return found;
}

export function brokenProperties(comparing: Comparing, branch: Branch, to: Fields, at: Place): Break[] {
  const unread = namedIn(to, 'patternProperties').find(([pattern]) => patternOf(pattern) === undefined);
  if (unread !== undefined) return cannotTell(at, 'a pattern of its properties cannot be read');
  const had = requiredOf(branch);
  const names = propertyNames(branch);
  const found = brokenCount(branch, to, ['minProperties', 'maxProperties'], at, [
    had.length,
    isClosed(branch) ? names.length : Infinity,
  ]);
  for (const name of requiredOf([to])) {
    if (!had.includes(name)) found.push({ path: propertyAt(at, name).path, reason: 'is required now' });
  }
  for (const name of new Set([...names, ...propertyNames([to])])) {
    const place = propertyAt(at, name);
    for (const node of propertyOf([to], name)) {
      found.push(...refusal(comparing.compare(propertyOf(branch, name), node, place), node, place));
    }
  }
  if (!isClosed(branch)) found.push(...brokenOthers(comparing, branch, to, at));
  const word = nodeIn(to, 'propertyNames');
  return word === undefined ? found : [...found, ...brokenNames(comparing, branch, word, at)];
}

const refusal = (found: Break[], to: Node, { path }: Place): Break[] =>
  to === false && found.length > 0 ? [{ path, reason: 'is not taken any more' }] : found;

/** Properties that neither side names. */
function brokenOthers(comparing: Comparing, branch: Branch, to: Fields, at: Place): Break[] {
  const place = othersAt(at);
  const others = keywordNodes([to], 'additionalProperties');
  const patterns = namedIn(to, 'patternProperties');
  // A property that a pattern takes is none of the additional ones.
  const plain = branch.filter((one) => namedIn(one, 'patternProperties').length === 0);
  if (patterns.length === 0) {
    const had = keywordNodes(plain, 'additionalProperties');
    return others.flatMap((node) => refusal(comparing.compare(had, node, place), node, place));
  }
  const same = branch.find((one) => hasPatterns(one, patterns));
  if (same === undefined) return cannotTell(place, 'the patterns of its properties have changed');
  const before = new Map(namedIn(same, 'patternProperties'));
  const had = keywordNodes([same, ...plain], 'additionalProperties');
  return [
    ...patterns.flatMap(([pattern, node]) => comparing.compare([before.get(pattern)!], node, place)),
    ...others.flatMap((node) => refusal(comparing.compare(had, node, place), node, place)),
  ];
}

/** Just these patterns: then the same properties are additional ones. */
function hasPatterns(one: Fields, patterns: readonly (readonly [string, Node])[]): boolean {
  const had = namedIn(one, 'patternProperties').map(([pattern]) => pattern);
  return had.length === patterns.length && patterns.every(([pattern]) => had.includes(pattern));
}

function brokenNames(comparing: Comparing, branch: Branch, word: Node, at: Place): Break[] {
  if (!isClosed(branch)) {
    const had = keywordNodes(branch, 'propertyNames');
    const place = { path: `${at.path}.*~`, depth: at.depth + 1 };
    return comparing.compare([{ type: 'string' }, ...had], word, place);
  }
  const names = propertyNames(branch).filter((name) => !propertyOf(branch, name).includes(false));
  const lost = names.filter((name) => isValid(name, word, comparing.to) !== true);
  return lost.map((name) => ({ path: propertyAt(at, name).path, reason: 'is no name that is taken' }));
}
