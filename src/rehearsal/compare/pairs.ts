// Which old definition stands beside which new one. The only place that pairs them by name.

import { invalid } from '../../base/checks.ts';
import { compareKeys } from '../../base/key-order.ts';
import { tame } from '../../base/tame.ts';
import type { AnyAggregate } from '../../model/aggregate.ts';
import { namesOf, storedTypeOf } from '../../model/aggregate-names.ts';
import { checkAggregates } from '../../model/aggregates-option.ts';
import { isEntityEvents } from '../../model/entity-events.ts';

/** So many are named in an error. */
const namesMost = 20;

/** One aggregate type, as two releases define it. */
export interface Pair {
  /** The name that its events are stored by. */
  readonly name: string;
  /** Every name that either side knows it by. */
  readonly names: ReadonlySet<string>;
  readonly old: AnyAggregate;
  readonly new: AnyAggregate;
}

export interface Pairs {
  /** By name. */
  readonly pairs: readonly Pair[];
  /** Names of the old release alone, and of the new one alone. */
  readonly onlyOld: readonly string[];
  readonly onlyNew: readonly string[];
  /** Entities of either side, which nothing folds. */
  readonly entities: readonly string[];
}

/** The pair of that type, by any of its names. @throws InvalidOptions: there is none; it says which there are */
export function pairOf(option: string, type: string, pairs: readonly Pair[]): Pair {
  const found = pairs.find(({ name }) => name === type) ?? pairs.find(({ names }) => names.has(type));
  if (found !== undefined) return found;
  const known = listed(pairs.map((pair) => pair.new.name)) || 'none';
  const reason = `'${tame(type, 80)}' is no aggregate that both \`old\` and \`new\` have; these are ${known}`;
  return invalid(option, undefined, reason);
}

/** As an error names them. */
export const listed = (names: readonly string[]): string => {
  const more = names.length - namesMost;
  return more > 0 ? `${names.slice(0, namesMost).join(', ')} and ${more} more` : names.join(', ');
};

/** @throws InvalidOptions: a list is none of definitions, or the two have no name in common */
export function pairsOf(allOld: readonly AnyAggregate[], allNew: readonly AnyAggregate[]): Pairs {
  checkAggregates(allOld, undefined, 'old');
  checkAggregates(allNew, undefined, 'new');
  const entities = new Set([...allOld, ...allNew].filter(isEntityEvents).map(({ name }): string => name));
  const [old, now] = [allOld, allNew].map((all) => all.filter((one) => !entities.has(one.name))) as [
    AnyAggregate[],
    AnyAggregate[],
  ];
  const news = new Map(now.map((definition) => [storedTypeOf(definition), definition]));
  const pairs = old.flatMap((definition): Pair[] => {
    const name = storedTypeOf(definition);
    const successor = news.get(name);
    if (successor === undefined) return [];
    const names = new Set([...namesOf(definition), ...namesOf(successor)]);
    return [{ name, names, old: definition, new: successor }];
  });
  if (pairs.length === 0 && entities.size === 0) {
    const [olds, news] = [old, now].map((definitions) => listed(definitions.map((one): string => one.name)));
    invalid('new', undefined, `has no aggregate of a name that is in \`old\`: it has ${news}, and \`old\` has ${olds}`);
  }
  const paired = new Set(pairs.map(({ name }) => name));
  const alone = (definitions: readonly AnyAggregate[]): string[] =>
    definitions.filter((one) => !paired.has(storedTypeOf(one))).map(({ name }): string => name);
  return {
    pairs: pairs.sort((a, b) => compareKeys(a.name, b.name)),
    onlyOld: alone(old),
    onlyNew: alone(now),
    entities: [...entities].sort(compareKeys),
  };
}
