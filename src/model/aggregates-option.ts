// The option `aggregates`: what may stand in its list, told one by one.

import { checkRecord, invalid, nameFault } from '../base/checks.ts';
import { AGGREGATE_TYPE_BYTES_LIMIT, AGGREGATE_TYPES_LIMIT } from '../base/name-limits.ts';
import { checkModule } from '../base/user-module.ts';
import type { AnyAggregate } from './aggregate.ts';

/** @throws InvalidOptions */
export function checkAggregates(aggregates: unknown, moduleRoots: readonly string[] | undefined): void {
  if (!Array.isArray(aggregates) || aggregates.length === 0) {
    invalid('aggregates', aggregates, 'must be a list of one aggregate at least');
  }
  if (aggregates.length > AGGREGATE_TYPES_LIMIT) {
    invalid('aggregates', aggregates.length, `must be ${AGGREGATE_TYPES_LIMIT} at most`);
  }
  const names = new Set<string>();
  for (const [i, aggregate] of (aggregates as (AnyAggregate | undefined)[]).entries()) {
    const option = `aggregates[${i}]`;
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
    if (fault !== undefined) invalid('aggregates', name, fault);
    checkModule(`aggregates.${name}.module`, aggregate.module, moduleRoots);
    if (names.has(name)) invalid('aggregates', name, 'two aggregates have this name');
    names.add(name);
  }
}
