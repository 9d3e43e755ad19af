// Events as a caller writes them down, checked before anything is made of them.
import { checkId, checkInteger, invalid } from '../base/checks.ts';
import { TrunklineError } from '../base/errors.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import { AGGREGATE_TYPE_BYTES_LIMIT, NAME_BYTES_LIMIT } from '../base/name-limits.ts';
import type { NewEvent } from '../model/event.ts';
import { isUuid } from '../wire/ids.ts';
import { checkOccurredAt, checkVersion } from '../wire/limits.ts';
import { checkMetadata } from '../wire/metadata.ts';

// Raised and stored events may be published as they are: what belongs to where they were is passed over. Each value is
// checked below, with an error of its own.
const eventFields = fieldsOf<NewEvent & { position: unknown; toJSON: unknown }>({
  aggregateType: 'any',
  aggregateId: 'any',
  type: 'any',
  data: 'any',
  metadata: 'any',
  id: 'any',
  occurredAt: 'any',
  schemaVersion: 'any',
  version: 'any',
  position: 'any',
  toJSON: 'any',
});

/** @throws InvalidOptions, InvalidId, naming the event by its place in the list */
export function checkNewEvents(events: readonly NewEvent[]): void {
  if (!Array.isArray(events) || events.length === 0) invalid('events', events, 'must be a list of at least one event');
  for (const [i, event] of events.entries()) checkNewEvent(event as NewEvent, `events[${i}]`);
}

function checkNewEvent(event: NewEvent, path: string): void {
  checkFields(path, event, eventFields);
  const { aggregateType, aggregateId, type, id, occurredAt, schemaVersion, version, metadata } = event;
  checkId('aggregate type', aggregateType, AGGREGATE_TYPE_BYTES_LIMIT);
  checkId('aggregate id', aggregateId);
  checkId('event type', type, NAME_BYTES_LIMIT);
  if (id !== undefined && !(typeof id === 'string' && isUuid(id))) {
    const length = typeof id === 'string' ? id.length : 0;
    throw new TrunklineError('InvalidId', { what: 'event id', length, limit: 36, reason: 'must be a UUID' });
  }
  if (occurredAt !== undefined) checkOccurredAt(`${path}.occurredAt`, occurredAt);
  if (schemaVersion !== undefined) checkInteger(`${path}.schemaVersion`, schemaVersion, 1, 65535);
  if (version !== undefined) checkVersion(`${path}.version`, version);
  if (metadata !== undefined) checkMetadata(metadata, `${path}.metadata`);
}
