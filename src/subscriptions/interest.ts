// Which events a handler wants: by their types and aggregates, and by a function of the user's. Owned by the host thread.
import type { StoredEvent } from '../model/event.ts';

interface Interest {
  readonly types: ReadonlySet<string> | undefined;
  readonly aggregates: ReadonlySet<string> | undefined;
  readonly where: ((event: StoredEvent) => boolean) | undefined;
}

export function isAbout({ types, aggregates }: Interest, { type, aggregateType }: StoredEvent): boolean {
  return (types?.has(type) ?? true) && (aggregates?.has(aggregateType) ?? true);
}

/** One that cannot be asked is handed over: the attempt throws the same, is repeated, and ends as a dead letter that tells. */
export function passes({ where }: Interest, event: StoredEvent): boolean {
  if (where === undefined) return true;
  try {
    return where(event);
  } catch {
    return true;
  }
}
