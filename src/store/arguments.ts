// What a store's readers check of their arguments, with a runtime and without one.

import { checkAggregate, checkDate, checkId, checkInteger, checkTypeList, invalid } from '../base/checks.ts';
import { checkFields, fieldsOf, taken } from '../base/known-fields.ts';
import type { AggregateLike, AnyAggregate } from '../model/aggregate.ts';
import { checkEventNames } from '../model/catalogue.ts';
import { isEntityEvents } from '../model/entity-events.ts';
import { storeQueryFields } from './query.ts';
import type { AsOf, StoreQuery, TypeQuery } from './store.ts';

export function checkAggregateId(aggregate: AnyAggregate | string, id: string): void {
  checkAggregate(aggregate);
  checkId('aggregate id', id);
}

/** What an aggregate's events are folded by. */
export function checkReducers(aggregate: AnyAggregate): void {
  checkAggregate(aggregate);
  if (typeof aggregate === 'string') invalid('aggregate', aggregate, 'must be a definition: its reducers are needed');
  if (!isEntityEvents(aggregate)) return;
  const reason = 'is made by defineEntityEvents(), which has no reducers; rebuild() an entity from its events instead';
  invalid('aggregate', aggregate.name, reason);
}

export function checkVersionRange(version: number, limit: number | undefined): void {
  checkInteger('version', version, 0, Number.MAX_SAFE_INTEGER);
  if (limit !== undefined) checkInteger('limit', limit, 0, Number.MAX_SAFE_INTEGER);
}

/** Aggregates whose events are known, by name; where there is no runtime, none but the definition that a query names. */
export type Definitions = ReadonlyMap<string, AnyAggregate>;

/**
 * The query as it is now; its other values are checked where it is read.
 * @throws InvalidOptions, UnknownEventType: a misspelt name would give nothing, in silence
 */
export function takeQuery(query: StoreQuery, definitions: Definitions = new Map()): StoreQuery {
  checkFields('query', query, storeQueryFields);
  const asGiven = taken(query, storeQueryFields);
  const { type, types, aggregate } = asGiven;
  if (types !== undefined) checkTypeList('types', types, 'leave it out for all');
  const names = type === undefined ? (types ?? []) : [type, ...(types ?? [])];
  for (const name of names) checkId('event type', name);
  checkNames(names, aggregate, definitions);
  return asGiven;
}

function checkNames(
  types: readonly string[],
  aggregate: AggregateLike | string | undefined,
  definitions: Definitions,
): void {
  if (aggregate === undefined) return;
  checkAggregate(aggregate as AnyAggregate);
  checkEventNames(types, [aggregate], definitions);
}

const typeQueryFields = fieldsOf<TypeQuery>({ since: true, until: true, limit: true, aggregate: true });

/** The query as it is now. @throws InvalidOptions, InvalidId, UnknownEventType */
export function checkTypeQuery(type: string, query: TypeQuery, definitions: Definitions = new Map()): TypeQuery {
  checkId('event type', type);
  checkFields('getByType', query, typeQueryFields);
  const { since, until, limit, aggregate } = query;
  if (since !== undefined) checkDate('since', since);
  if (until !== undefined) checkDate('until', until);
  if (limit !== undefined && limit !== Number.POSITIVE_INFINITY) {
    checkInteger('limit', limit, 0, Number.MAX_SAFE_INTEGER);
  }
  checkNames([type], aggregate, definitions);
  return taken(query, typeQueryFields);
}

const momentFields = { names: ['version', 'time'] };

/** The moment as it is now. */
export function checkMoment(moment: AsOf): AsOf {
  if (moment === undefined || moment === null) {
    invalid('moment', moment, 'is missing: say as of when, by { version } or { time }');
  }
  checkFields('moment', moment, momentFields.names);
  const { version, time } = moment as { version?: number; time?: Date };
  if ((version === undefined) === (time === undefined)) {
    invalid('moment', moment, 'must be { version } or { time }: one of the two');
  }
  if (version !== undefined) checkInteger('moment.version', version, 0, Number.MAX_SAFE_INTEGER);
  if (time !== undefined) checkDate('moment.time', time);
  return taken(moment, momentFields);
}
