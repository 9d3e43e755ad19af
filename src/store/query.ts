// A user's query of a store: checked, and turned into a filter.

import {
  checkAggregate,
  checkDate,
  checkId,
  checkInteger,
  checkSignal,
  checkTypeList,
  invalid,
} from '../base/checks.ts';
import { type Fields, fieldsOf } from '../base/known-fields.ts';
import { isStorable } from '../base/tame.ts';
import type { StoredEvent } from '../model/event.ts';
import type { Evolution, WantedNames } from '../model/evolution.ts';
import { EventFilter } from './filter.ts';
import { type EventArchive, nameOf, type StoreQuery, type TypeQuery } from './store.ts';

/** The filter of a user's query. @throws InvalidOptions, InvalidId */
export function filterOf(query: StoreQuery): EventFilter {
  check(query);
  const { aggregate, aggregateId, type, since, until, correlationId } = query;
  const aggregateType = aggregate === undefined ? undefined : nameOf(aggregate);
  const types = type === undefined ? query.types : [type, ...(query.types ?? [])];
  return new EventFilter({ aggregateType, aggregateId, types, since, until, correlationId });
}

/** The types that a query asks for; undefined: all. @throws InvalidOptions, InvalidId */
export function namesIn(query: StoreQuery, evolution: Evolution): WantedNames | undefined {
  check(query);
  const { aggregate, type, types } = query;
  const wanted = type === undefined ? types : [type, ...(types ?? [])];
  return evolution.names(wanted, aggregate === undefined ? undefined : nameOf(aggregate));
}

/** The same query for what is stored. */
export function asStoredQuery<Q extends StoreQuery>(query: Q, names: WantedNames | undefined, evolution: Evolution): Q {
  const stored = names === undefined ? query : { ...query, type: undefined, types: [...names.stored] };
  const { aggregate } = query;
  return aggregate === undefined ? stored : { ...stored, aggregate: evolution.storedType(nameOf(aggregate)) };
}

/** The first `limit` events of a type. */
export async function eventsOfType(
  store: Pick<EventArchive, 'query'>,
  type: string,
  { limit = Number.POSITIVE_INFINITY, ...rest }: TypeQuery,
  eventsPerPage: number,
): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  if (limit <= 0) return events;
  for await (const event of store.query({ ...rest, type, pageSize: Math.min(limit, eventsPerPage) })) {
    events.push(event);
    if (events.length >= limit) break;
  }
  return events;
}

/** The fields that a store's query may have. */
export const storeQueryFields: Fields = fieldsOf<StoreQuery>({
  aggregate: true,
  aggregateId: true,
  type: true,
  types: true,
  since: true,
  until: true,
  correlationId: true,
  signal: true,
  pageSize: true,
});

function check(query: StoreQuery): void {
  const { pageSize = 1, aggregate, aggregateId, type, types, since, until, correlationId, signal } = query;
  checkInteger('pageSize', pageSize, 1, 100_000);
  if (aggregate !== undefined) checkAggregate(aggregate);
  if (aggregateId !== undefined) checkId('aggregate id', aggregateId);
  if (types !== undefined) checkTypeList('types', types, 'leave it out for all');
  for (const one of type === undefined ? (types ?? []) : [type, ...(types ?? [])]) checkId('event type', one);
  if (since !== undefined) checkDate('since', since);
  if (until !== undefined) checkDate('until', until);
  if (correlationId !== undefined && (typeof correlationId !== 'string' || !isStorable(correlationId))) {
    invalid('correlationId', correlationId, 'must be a text, without U+0000 and lone surrogates');
  }
  if (signal !== undefined) checkSignal(signal);
}
