// Which events a handler wants: by their types and aggregates, and by a function of the user's. Owned by the host thread.
import type { StoredEvent } from '../model/event.ts';
import type { WantedNames } from '../model/evolution.ts';
import { isSplit, isWanted, partsOf } from '../model/evolved-event.ts';

interface Interest {
  /** By name; undefined: all. */
  readonly wanted: WantedNames | undefined;
  readonly aggregates: ReadonlySet<string> | undefined;
  readonly where: ((event: StoredEvent) => boolean) | undefined;
}

export function isAbout({ wanted, aggregates }: Interest, event: StoredEvent): boolean {
  return (aggregates === undefined || aggregates.has(event.aggregateType)) && isWanted(event, wanted);
}

/** One that cannot be asked is handed over: the attempt throws the same, is repeated, and ends as a dead letter that tells. */
export function passes({ where, wanted }: Interest, event: StoredEvent): boolean {
  if (where === undefined) return true;
  if (isSplit(event)) return anyPart(event, (part) => (wanted?.has(part) ?? true) && where(part));
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
