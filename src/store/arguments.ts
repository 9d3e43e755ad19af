// What a store's readers check of their arguments, with a runtime and without one.
import type { AnyAggregate } from '../aggregate.ts';
import { checkAggregate, checkDate, checkId, checkInteger, invalid } from '../checks.ts';
import { checkFields, fieldsOf, taken } from '../known-fields.ts';
import { storeQueryFields } from './query.ts';
import type { Moment, StoreQuery, TypeQuery } from './store.ts';

export function checkAggregateId(aggregate: AnyAggregate | string, id: string): void {
  checkAggregate(aggregate);
  checkId('aggregate id', id);
}

export function checkVersionRange(version: number, limit: number | undefined): void {
  checkInteger('version', version, 0, Number.MAX_SAFE_INTEGER);
  if (limit !== undefined) checkInteger('limit', limit, 0, Number.MAX_SAFE_INTEGER);
}

/** The query as it is now; its values are checked where it is read. */
export function takeQuery(query: StoreQuery): StoreQuery {
  checkFields('query', query, storeQueryFields);
  return taken(query, storeQueryFields);
}

const typeQueryFields = fieldsOf<TypeQuery>({ since: true, until: true, limit: true, aggregate: true });

/** The query as it is now. */
export function checkTypeQuery(type: string, query: TypeQuery): TypeQuery {
  checkId('event type', type);
  checkFields('getByType', query, typeQueryFields);
  const { since, until, limit, aggregate } = query;
  if (since !== undefined) checkDate('since', since);
  if (until !== undefined) checkDate('until', until);
  if (limit !== undefined && limit !== Number.POSITIVE_INFINITY) {
    checkInteger('limit', limit, 0, Number.MAX_SAFE_INTEGER);
  }
  if (aggregate !== undefined) checkAggregate(aggregate);
  return taken(query, typeQueryFields);
}

const momentFields = { names: ['version', 'time'] };

/** The moment as it is now. */
export function checkMoment(moment: Moment): Moment {
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
