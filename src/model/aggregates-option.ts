// The option `aggregates`: what may stand in its list, told one by one.

import { checkRecord, invalid, nameFault } from '../base/checks.ts';
import { AGGREGATE_TYPE_BYTES_LIMIT, AGGREGATE_TYPES_LIMIT } from '../base/name-limits.ts';
import { checkModule } from '../base/user-module.ts';
import type { AnyAggregate } from './aggregate.ts';
import { namesOf } from './aggregate-names.ts';

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
    const { name } = aggregate;
    const fault = nameFault(name, AGGREGATE_TYPE_BYTES_LIMIT);
    if (fault !== undefined) invalid(list, name, fault);
    checkModule(`${list}.${name}.module`, aggregate.module, moduleRoots);
    for (const one of namesOf(aggregate)) {
      if (names.has(one)) invalid(list, one, 'two aggregates have this name, or had it');
      names.add(one);
    }
  }
}
