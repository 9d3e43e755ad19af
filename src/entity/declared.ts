// Events of entities against what was declared of them, at each door by which they come in.

import { userJson } from '../base/json.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { type DeclaredPayload, declaredEvent, newestPayload } from '../model/entity-events.ts';
import type { NewEvent } from '../model/event.ts';
import { evolutionOf } from '../model/evolution.ts';
import { toJson } from '../wire/payload.ts';

/**
 * Of an older version it is only checked that the newest can be made of it, and it is stored as it is.
 * @throws UnknownEventType, SchemaViolation, AsyncSchemaUnsupported, UnsupportedEventVersion, UpcastFailed, UnserialisableValue
 */
function declaredPayload(entity: AnyAggregate, event: NewEvent): DeclaredPayload {
  const { type, aggregateId, data, version = 0 } = event;
  const spec = declaredEvent(entity, type);
  const { schemaVersion = spec.schemaVersion } = event;
  if (schemaVersion === spec.schemaVersion) return newestPayload(entity, event);
  // As it will be read: what is given may hold dates and the like, and stays the caller's to change.
  const stored: unknown = userJson(toJson(data, type));
  const place = { id: '', aggregateType: entity.name, aggregateId, version, position: 0 };
  evolutionOf(entity).upcast(type, spec, schemaVersion, stored, place);
  return { data: stored, schemaVersion };
}

/** The same of an event of any entity: one that is not declared is as it was given. */
export const payloadOf = (event: NewEvent, entities: ReadonlyMap<string, AnyAggregate>): DeclaredPayload => {
  const entity = entities.get(event.aggregateType);
  return entity === undefined
    ? { data: event.data, schemaVersion: event.schemaVersion ?? 1 }
    : declaredPayload(entity, event);
};
