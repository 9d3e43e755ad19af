// The names of an aggregate type: today's, those that it had, and the one that is stored; and how a definition is found by them.

import type { AnyAggregate } from './aggregate.ts';

type Named = Pick<AnyAggregate, 'name' | 'renamedFrom'>;

/**
 * The name in logs, stores and topics: the first that the type ever had. It stays, so that releases that call the type by
 * different names share its aggregates, also while both run.
 */
export const storedTypeOf = ({ name, renamedFrom = [] }: Named): string => renamedFrom[0] ?? name;

/** Every name of the type, today's first. It may have come back to one that it had. */
export const namesOf = ({ name, renamedFrom = [] }: Named): string[] => [...new Set([name, ...renamedFrom])];

/** Aggregates by today's name. One that a type had before finds it, too. */
export class AggregatesByName extends Map<string, AnyAggregate> {
  private readonly former: ReadonlyMap<string, string>;

  constructor(aggregates: readonly AnyAggregate[]) {
    super(aggregates.map((one) => [one.name, one]));
    this.former = new Map(aggregates.flatMap(({ name, renamedFrom = [] }) => renamedFrom.map((old) => [old, name])));
  }

  override get(name: string): AnyAggregate | undefined {
    return super.get(this.former.get(name) ?? name);
  }

  override has(name: string): boolean {
    return this.get(name) !== undefined;
  }
}

/** The definition of that name among what a module exports; undefined: it exports none. */
export const exportedAggregate = (module: Readonly<Record<string, unknown>>, name: string): AnyAggregate | undefined =>
  Object.values(module).find((value): value is AnyAggregate => isDefinition(value) && value.name === name);

function isDefinition(value: unknown): value is AnyAggregate {
  return typeof value === 'object' && value !== null && 'commands' in value && 'evolve' in value && 'name' in value;
}
