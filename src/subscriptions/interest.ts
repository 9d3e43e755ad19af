// Which events a handler wants: by their types and aggregates, and by a function of the user's. Owned by the host thread.
import type { StoredEvent } from '../model/event.ts';
import { isSplit, partsOf } from '../model/evolved-event.ts';

interface Interest {
  readonly types: ReadonlySet<string> | undefined;
  readonly aggregates: ReadonlySet<string> | undefined;
  readonly where: ((event: StoredEvent) => boolean) | undefined;
}

export function isAbout({ types, aggregates }: Interest, event: StoredEvent): boolean {
  if (aggregates !== undefined && !aggregates.has(event.aggregateType)) return false;
  if (types === undefined) return true;
  return isSplit(event) ? anyPart(event, ({ type }) => types.has(type)) : types.has(event.type);
}

/** One that cannot be asked is handed over: the attempt throws the same, is repeated, and ends as a dead letter that tells. */
export function passes({ where, types }: Interest, event: StoredEvent): boolean {
  if (where === undefined) return true;
  if (isSplit(event)) return anyPart(event, (part) => (types === undefined || types.has(part.type)) && where(part));
  try {
    return where(event);
  } catch {
    return true;
  }
}

function anyPart(event: StoredEvent, isWanted: (part: StoredEvent) => boolean): boolean {
  try {
    return partsOf(event).some(isWanted);
  } catch {
    return true;
  }
}
