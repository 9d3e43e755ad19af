// A row of domain_events as an archive holds it, in JSON, as the event that it is.
import { eventOf, type StoredEvent } from '../../../model/event.ts';
import type { Metadata } from '../../../wire/metadata.ts';
import { deepFreeze } from '../../../wire/payload.ts';
import { timeOf } from '../session/time-text.ts';

/** undefined: it is no row of an event. */
export function eventOfRow(row: Readonly<Record<string, any>>): StoredEvent | undefined {
  const { id, version, schema_version: schemaVersion, event_type: type } = row;
  const { aggregate_type: aggregateType, aggregate_id: aggregateId } = row;
  const occurredAt = new Date(typeof row.occurred_at === 'string' ? timeOf(row.occurred_at) : Number.NaN);
  const isEvent = [type, aggregateType, aggregateId].every((name) => typeof name === 'string');
  if (!isEvent || !Number.isSafeInteger(version) || Number.isNaN(occurredAt.getTime())) return undefined;
  return eventOf({
    id,
    position: row.position ?? 0,
    aggregateType,
    aggregateId,
    version,
    type,
    schemaVersion,
    occurredAt,
    data: deepFreeze(row.data),
    metadata: deepFreeze(row.metadata ?? {}) as Metadata,
  });
}
