// A stored event that this release cannot read: its error says which one it is. Where in the log it lies is looked up only then.

import type { StoredEventPlace } from '../base/error-details.ts';
import { isError, TrunklineError } from '../base/errors.ts';
import type { EventPast } from './event-spec.ts';

/** Where an event stands, for errors. `position` 0: not known here. */
export interface EventPlace {
  /** The event's own. '': it is not stored. */
  readonly id: string;
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly version: number;
  readonly position: number;
}

/** @throws UnsupportedEventVersion */
export function checkReadable(
  name: string,
  { lowest }: EventPast,
  newest: number,
  schemaVersion: number,
  place: EventPlace,
): void {
  if (Number.isInteger(schemaVersion) && schemaVersion >= lowest && schemaVersion <= newest) return;
  throw new TrunklineError('UnsupportedEventVersion', {
    ...placeDetails(place),
    eventType: name,
    schemaVersion,
    known: [lowest, newest],
  });
}

/** @throws UpcastFailed */
export function failUpcast(
  eventType: string,
  schemaVersion: number,
  place: EventPlace,
  reason: string,
  cause?: unknown,
): never {
  const details = { ...placeDetails(place), eventType, schemaVersion, reason };
  throw new TrunklineError('UpcastFailed', details, { cause });
}

/** As errors carry it. */
export function placeDetails(place: EventPlace): Omit<StoredEventPlace, 'eventType' | 'schemaVersion'> {
  const { id: eventId, aggregateType, aggregateId, version, position } = place;
  return { aggregateType, aggregateId, version, eventId, position };
}

/** The same error with the position, where it is one of a stored event; `positionOf`: 0 if it is not known here. */
export function withPosition(error: unknown, positionOf: () => number): unknown {
  for (const code of ['UpcastFailed', 'UnsupportedEventVersion'] as const) {
    if (!isError(error, code)) continue;
    const details = { ...error.details, position: positionOf() };
    return new TrunklineError(code, details as never, { cause: error.cause });
  }
  if (!isError(error, 'UnknownEventType') || error.details.stored === undefined) return error;
  const stored = { ...error.details.stored, position: positionOf() };
  return new TrunklineError('UnknownEventType', { ...error.details, stored });
}
