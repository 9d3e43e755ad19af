// What one schema demands by keywords of its own, against a branch whose values are to be valid by it: kind by kind.

import { own } from '../base/own.ts';
import { type Break, type Comparing, cannotTell, type Place } from './breaks.ts';
import { type Branch, canonical, type Fields, isAnnotation } from './document.ts';
import { kindsOf, lowerBound, namedKinds, namedValues, numbersOf, upperBound } from './facets.ts';
import { brokenCount, brokenItems, brokenProperties } from './members.ts';

/** Compared here, in `members.ts` or in `subset.ts`. */
const compared: ReadonlySet<string> = new Set([
  ...['$defs', 'definitions', '$ref', 'allOf', 'anyOf', 'oneOf', 'type', 'enum', 'const'],
  ...['minLength', 'maxLength', 'pattern', 'format', 'contentEncoding', 'contentMediaType'],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  ...['items', 'prefixItems', 'additionalItems', 'minItems', 'maxItems', 'uniqueItems'],
  ...['properties', 'required', 'patternProperties', 'additionalProperties', 'propertyNames'],
  ...['minProperties', 'maxProperties'],
]);

/** Of texts: fine where they stand in the other schema as they are, or in this one no more. */
const ofTexts = ['pattern', 'format', 'contentEncoding', 'contentMediaType'];

/** Hold alone, whatever stands beside them: the same one in both schemas demands the same. */
const alone: ReadonlySet<string> = new Set(['not', 'dependentRequired', 'dependentSchemas', 'dependencies']);

export function brokenKeywords(comparing: Comparing, branch: Branch, to: Fields, at: Place): Break[] {
  const kinds = kindsOf(branch);
  const wanted = namedKinds(to);
  const found: Break[] = [];
  const broken = (reason: string): void => {
    found.push({ path: at.path, reason });
  };
  const lost = kinds.filter((kind) => !wanted.includes(kind)).map((kind) => (kind === 'fraction' ? 'number' : kind));
  if (lost.length > 0) broken(`${lost.join(', ')} is not taken any more`);
  if (namedValues(to) !== undefined) broken(`only ${JSON.stringify(namedValues(to)).slice(0, 80)} is taken now`);
  for (const keyword of Object.keys(to)) {
    if (compared.has(keyword) || isAnnotation(keyword)) continue;
    if (!branch.some((one) => isSame(one, to, keyword))) found.push(...cannotTell(at, `it has the keyword ${keyword}`));
  }
  const left = kinds.filter((kind) => wanted.includes(kind));
  const numbers = left.filter((kind) => kind === 'integer' || kind === 'fraction');
  if (left.includes('string')) found.push(...brokenText(branch, to, at));
  // Bounds of integers say nothing more where fractions are lost.
  if (numbers.length > 0 && !lost.includes('number'))
    found.push(...brokenNumber(branch, to, !numbers.includes('fraction'), at));
  if (left.includes('array')) found.push(...brokenItems(comparing, branch, to, at));
  if (left.includes('object')) found.push(...brokenProperties(comparing, branch, to, at));
  return found;
}

/** Without references, which may lead elsewhere in the other document. */
function isSame(one: Fields, to: Fields, keyword: string): boolean {
  const [had, now] = [own(one, keyword), own(to, keyword)].map((value) => canonical({ [keyword]: value ?? null }));
  return alone.has(keyword) && Object.hasOwn(one, keyword) && had === now && !/"\$\w*ref"/i.test(now!);
}

function brokenText(branch: Branch, to: Fields, at: Place): Break[] {
  const found = brokenCount(branch, to, ['minLength', 'maxLength'], at);
  for (const keyword of ofTexts) {
    const now = own(to, keyword);
    if (now === undefined || branch.some((one) => own(one, keyword) === now)) continue;
    const had = branch.some((one) => own(one, keyword) !== undefined);
    found.push(...cannotTell(at, had ? `its ${keyword} has changed` : `it has a ${keyword} now`));
  }
  return found;
}

function brokenNumber(branch: Branch, to: Fields, onlyIntegers: boolean, at: Place): Break[] {
  const found: Break[] = [];
  const [low, newLow] = [lowerBound(branch, onlyIntegers), lowerBound([to], onlyIntegers)];
  const [high, newHigh] = [upperBound(branch, onlyIntegers), upperBound([to], onlyIntegers)];
  const isExcluded = newLow.isExclusive && !low.isExclusive && low.value === newLow.value;
  if (low.value < newLow.value || isExcluded) {
    found.push({ path: at.path, reason: `it is ${newLow.isExclusive ? 'above' : 'at least'} ${newLow.value} now` });
  }
  const isExcludedAbove = newHigh.isExclusive && !high.isExclusive && high.value === newHigh.value;
  if (high.value > newHigh.value || isExcludedAbove) {
    found.push({ path: at.path, reason: `it is ${newHigh.isExclusive ? 'below' : 'at most'} ${newHigh.value} now` });
  }
  for (const factor of numbersOf([to], 'multipleOf')) {
    const areIntegers = (one: number): boolean => Number.isSafeInteger(one) && Number.isSafeInteger(factor);
    const had = numbersOf(branch, 'multipleOf').some(
      (one) => one === factor || (areIntegers(one) && one % factor === 0),
    );
    if (!had && !(onlyIntegers && factor === 1)) found.push(...cannotTell(at, `it is a multiple of ${factor} now`));
  }
  return found;
}
