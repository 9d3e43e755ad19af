// Whether every value that is valid by one JSON Schema is valid by another: proven keyword by keyword, or it counts as broken.
// A proof may fail to be found where there is one ("cannot tell"); what it finds is true. test/schemas/subset.test.ts has random
// schemas judged by a validator.

import { own } from '../base/own.ts';
import { type Break, type Comparing, cannotTell, type Place } from './breaks.ts';
import { disjoint } from './disjoint.ts';
import { type Branch, canonical, type Fields, type Node, nodesIn, SchemaDocument } from './document.ts';
import { type Kind, kindsOf, valuesOf } from './facets.ts';
import { brokenKeywords } from './keywords.ts';
import { isValid } from './valid.ts';

const breaksMost = 20;
const stepsMost = 100_000;
/** Two unions of 480 alternatives with a tag have 230,400 pairs, each with the pair of their tags. */
const pairsMost = 500_000;

/** Empty: every value valid by `from` is valid by `to`. */
export function breaksBetween(from: Node, to: Node): Break[] {
  const comparison = new Comparison(new SchemaDocument(from), new SchemaDocument(to));
  if (comparison.from.isOld === comparison.to.isOld && canonical(from) === canonical(to)) return [];
  const found = comparison.compare([from], to, { path: '$', depth: 0 });
  return [...new Map(found.map((one) => [`${one.path} ${one.reason}`, one])).values()];
}

/** One kind of values alone, as a schema: the same object each time, so that a comparison is known when it comes again. */
const ofKind: Readonly<Record<Kind, Fields>> = {
  null: { type: 'null' },
  boolean: { type: 'boolean' },
  object: { type: 'object' },
  array: { type: 'array' },
  string: { type: 'string' },
  integer: { type: 'integer' },
  fraction: { type: 'number' },
};

class Comparison implements Comparing {
  readonly from: SchemaDocument;
  readonly to: SchemaDocument;
  /** Comparisons that have begun and not ended → how deep in the payload. */
  private readonly running = new Map<string, number>();
  private readonly numbers = new Map<Node, number>();
  /** Comparisons that have ended, and that no running one was asked for: what they have found, with paths from there on. */
  private readonly ended = new Map<string, readonly Break[]>();
  private steps = 0;
  private readonly pairs = { left: pairsMost };
  /** How often a running comparison was taken for one that holds. */
  private assumed = 0;

  constructor(from: SchemaDocument, to: SchemaDocument) {
    this.from = from;
    this.to = to;
  }

  /**
   * A comparison that comes again deeper in the payload holds if the first one does: payloads end. One that comes again at
   * the same place says nothing of any payload.
   */
  compare(from: readonly Node[], to: Node, at: Place): Break[] {
    if (to === true || from.includes(false)) return [];
    return this.noted('', from, to, at, () => {
      const { branches, leftOut } = this.from.branches(from);
      const found = branches.flatMap((branch) => this.within(branch, to, at));
      // What was found may be of values that the part left out refuses: its reason would mislead.
      return found.length === 0 || leftOut === undefined ? found : cannotTell(at, leftOut);
    });
  }

  /** The same of one branch: its alternatives have been chosen, and are not gone through again. */
  private compareBranch(branch: Branch, to: Node, at: Place): Break[] {
    return to === true ? [] : this.noted('one ', branch, to, at, () => this.within(branch, to, at));
  }

  private noted(what: string, from: readonly Node[], to: Node, at: Place, compared: () => Break[]): Break[] {
    if (++this.steps > stepsMost) return cannotTell(at, 'the schemas are too large together');
    const key = `${what}${[...new Set(from.map((node) => this.numberOf(node)))].sort().join()}:${this.numberOf(to)}`;
    const before = this.running.get(key);
    if (before !== undefined) {
      this.assumed++;
      return before < at.depth ? [] : cannotTell(at, 'a schema is nothing but a reference to itself');
    }
    const known = this.ended.get(key);
    if (known !== undefined) return known.map(({ path, reason }) => ({ path: at.path + path, reason }));
    const { assumed } = this;
    this.running.set(key, at.depth);
    try {
      const found = compared().slice(0, breaksMost);
      const fromHere = found.map(({ path, reason }) => ({ path: path.slice(at.path.length), reason }));
      if (this.assumed === assumed) this.ended.set(key, fromHere);
      return found;
    } finally {
      this.running.delete(key);
    }
  }

  private within(branch: Branch, to: Exclude<Node, true>, at: Place): Break[] {
    if (++this.steps > stepsMost) return cannotTell(at, 'the schemas are too large together');
    if (kindsOf(branch).length === 0) return [];
    const values = valuesOf(branch)?.filter((value) => branch.every((one) => isValid(value, one, this.from) !== false));
    if (values !== undefined) return values.flatMap((value) => this.ofValue(value, to, at));
    if (to === false) return [{ path: at.path, reason: 'nothing may stand here any more' }];
    const ref = own(to, '$ref');
    const found = ref === undefined ? [] : this.byReference(branch, ref, at);
    if (ref !== undefined && this.to.isOld) return found;
    for (const one of nodesIn(to, 'allOf')) found.push(...this.compareBranch(branch, one, at));
    for (const keyword of ['anyOf', 'oneOf'] as const) {
      if (own(to, keyword) !== undefined) found.push(...this.byAlternatives(branch, to, keyword, at));
    }
    return [...found, ...brokenKeywords(this, branch, to, at)];
  }

  private ofValue(value: unknown, to: Node, at: Place): Break[] {
    const verdict = isValid(value, to, this.to);
    if (verdict === true) return [];
    const shown = JSON.stringify(value).slice(0, 60);
    return verdict === false
      ? [{ path: at.path, reason: `${shown} is not taken any more` }]
      : cannotTell(at, `whether ${shown} is taken`);
  }

  private byReference(branch: Branch, ref: unknown, at: Place): Break[] {
    const target = this.to.target(ref);
    return target === undefined
      ? cannotTell(at, 'a $ref leads out of the schema')
      : this.compareBranch(branch, target, at);
  }

  /** One of them takes the whole branch; or, kind by kind, one of them takes that kind. */
  private byAlternatives(branch: Branch, to: Fields, keyword: 'anyOf' | 'oneOf', at: Place): Break[] {
    const alternatives = nodesIn(to, keyword);
    const whole = this.byOne(branch, alternatives, keyword, at);
    const kinds = kindsOf(branch);
    if (whole.length === 0 || kinds.length === 1) return whole;
    return kinds.flatMap((kind) => {
      const part = [...branch, ofKind[kind]];
      const only: Fields = { [keyword]: alternatives };
      const values = valuesOf(part);
      if (values === undefined) return this.byOne(part, alternatives, keyword, at);
      return values.flatMap((value) => this.ofValue(value, only, at));
    });
  }

  /** Of `oneOf` the others take nothing of it. */
  private byOne(branch: Branch, alternatives: readonly Node[], keyword: 'anyOf' | 'oneOf', at: Place): Break[] {
    const isApart = (one: Node): boolean =>
      ++this.steps <= stepsMost && disjoint([branch, this.from], one, this.to, this.pairs);
    const nearest: Break[][] = [];
    for (const [i, one] of alternatives.entries()) {
      if (isApart(one)) continue;
      const found = this.compareBranch(branch, one, at);
      const areOthersApart = (): boolean => alternatives.every((other, j) => j === i || isApart(other));
      if (found.length === 0 && (keyword === 'anyOf' || areOthersApart())) return [];
      nearest.push(found);
    }
    // The only one that could take some of it says why it does not take all.
    if (nearest.length === 1 && nearest[0]!.length > 0) return nearest[0]!;
    const which = keyword === 'anyOf' ? 'one' : 'exactly one';
    return cannotTell(at, `whether ${which} of ${alternatives.length} alternatives takes it`);
  }

  private numberOf(node: Node): number {
    let number = this.numbers.get(node);
    if (number === undefined) {
      number = this.numbers.size;
      this.numbers.set(node, number);
    }
    return number;
  }
}
