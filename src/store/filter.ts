// Which events a query wants, told from a frame without decoding it.
import { checkTypeList } from '../catalogue.ts';
import { checkAggregate, checkDate, checkId, checkInteger, checkSignal, invalid } from '../checks.ts';
import type { StoredEvent } from '../event.ts';
import { FrameKind, type FrameReader } from '../frame.ts';
import { type Fields, fieldsOf } from '../known-fields.ts';
import { isStorable } from '../tame.ts';
import { type EventArchive, nameOf, type StoreQuery, type TypeQuery } from './store.ts';

export class EventFilter {
  readonly aggregateType: string | undefined;
  readonly aggregateId: string | undefined;
  /** Any, if undefined. */
  readonly types: ReadonlySet<string> | undefined;
  /** Milliseconds since 1970: events that occurred at `since` or later and before `until`. */
  readonly since: number;
  readonly until: number;
  /** As in the metadata; any, if undefined. */
  readonly correlationId: string | undefined;

  constructor(wanted: {
    aggregateType?: string | undefined;
    aggregateId?: string | undefined;
    types?: readonly string[] | undefined;
    since?: Date | undefined;
    until?: Date | undefined;
    correlationId?: string | undefined;
  }) {
    this.aggregateType = wanted.aggregateType;
    this.aggregateId = wanted.aggregateId;
    this.types = wanted.types && new Set(wanted.types);
    this.since = wanted.since?.getTime() ?? Number.NEGATIVE_INFINITY;
    this.until = wanted.until?.getTime() ?? Number.POSITIVE_INFINITY;
    this.correlationId = wanted.correlationId;
  }

  get isTimed(): boolean {
    return this.since !== Number.NEGATIVE_INFINITY || this.until !== Number.POSITIVE_INFINITY;
  }

  matches(frame: FrameReader): boolean {
    if (frame.kind !== FrameKind.event) return false;
    const { occurredAt } = frame;
    if (occurredAt < this.since || occurredAt >= this.until) return false;
    if (this.types !== undefined && !this.types.has(frame.name)) return false;
    if (this.aggregateType !== undefined && frame.aggregateType !== this.aggregateType) return false;
    if (this.aggregateId !== undefined && frame.aggregateId !== this.aggregateId) return false;
    return this.correlationId === undefined || correlationIdOf(frame) === this.correlationId;
  }
}

function correlationIdOf(frame: FrameReader): unknown {
  const { metadataJson } = frame;
  return metadataJson === '' ? undefined : (JSON.parse(metadataJson) as { correlationId?: unknown }).correlationId;
}

/** The filter of a user's query. @throws InvalidOptions, InvalidId */
export function filterOf(query: StoreQuery): EventFilter {
  check(query);
  const { aggregate, aggregateId, type, since, until, correlationId } = query;
  const aggregateType = aggregate === undefined ? undefined : nameOf(aggregate);
  const types = type === undefined ? query.types : [type, ...(query.types ?? [])];
  return new EventFilter({ aggregateType, aggregateId, types, since, until, correlationId });
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
