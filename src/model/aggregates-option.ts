// The option `aggregates`: what may stand in its list, told one by one.

import { checkRecord, invalid, nameFault } from '../base/checks.ts';
import { AGGREGATE_TYPE_BYTES_LIMIT, AGGREGATE_TYPES_LIMIT } from '../base/name-limits.ts';
import { checkModule } from '../base/user-module.ts';
import type { AnyAggregate } from './aggregate.ts';
import { namesOf } from './aggregate-names.ts';
import { isEntityEvents } from './entity-events.ts';

/** `list`: what the option is called. @throws InvalidOptions */
export function checkAggregates(
  aggregates: unknown,
  moduleRoots: readonly string[] | undefined,
  list: string = 'aggregates',
): void {
  if (!Array.isArray(aggregates) || aggregates.length === 0) {
    invalid(list, aggregates, 'must be a list of one aggregate at least');
  }
  if (aggregates.length > AGGREGATE_TYPES_LIMIT) {
    invalid(list, aggregates.length, `must be ${AGGREGATE_TYPES_LIMIT} at most`);
  }
  const names = new Set<string>();
  for (const [i, aggregate] of (aggregates as (AnyAggregate | undefined)[]).entries()) {
    const option = `${list}[${i}]`;
    if (aggregate === undefined) {
      invalid(option, aggregate, 'is undefined: do two modules import each other, or is an export misspelt?');
    }
    if (typeof aggregate === 'string') {
      invalid(option, aggregate, 'is a name: give what defineAggregate() has returned');
    }
    checkRecord(option, aggregate);
    if (typeof aggregate.commands !== 'object' || typeof aggregate.evolve !== 'object') {
      invalid(option, aggregate.name ?? aggregate, 'must be made by defineAggregate()');
    }
    const { name, module } = aggregate;
    const fault = nameFault(name, AGGREGATE_TYPE_BYTES_LIMIT);
    if (fault !== undefined) invalid(list, name, fault);
    if (!isEntityEvents(aggregate)) checkModule(`${list}.${name}.module`, module, moduleRoots);
    for (const one of namesOf(aggregate)) {
      if (names.has(one)) invalid(list, undefined, `two aggregates have the name '${one}', or had it`);
      names.add(one);
    }
  }
}

/** The option `entities`, beside what the runtime has as actors. @throws InvalidOptions */
export function checkEntities(entities: unknown, aggregates: readonly AnyAggregate[]): void {
  for (const one of aggregates) {
    if (isEntityEvents(one))
      invalid('aggregates', one.name, 'is made by defineEntityEvents(): it belongs into `entities`');
  }
  if (entities === undefined) return;
  if (!Array.isArray(entities) || entities.length > AGGREGATE_TYPES_LIMIT) {
    invalid('entities', entities, `must be a list of at most ${AGGREGATE_TYPES_LIMIT}`);
  }
  const taken = new Set(aggregates.flatMap(namesOf));
  for (const [i, one] of (entities as unknown[]).entries()) {
    if (!isEntityEvents(one)) return invalid(`entities[${i}]`, undefined, 'must be made by defineEntityEvents()');
    if (taken.has(one.name)) invalid('entities', one.name, 'an aggregate or another entity has this name, or had it');
    taken.add(one.name);
  }
}
