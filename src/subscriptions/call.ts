// The user's handler as the attempts call it.
import type { StoredEvent } from '../model/event.ts';
import { isSplit, wantedParts } from '../model/evolved-event.ts';
import type { Attempt } from './attempt.ts';
import type { HandlerFn } from './handler-code.ts';
import { allParts, handleParts } from './parts.ts';
import type { SubscriptionSettings } from './settings.ts';

export function callOf(settings: SubscriptionSettings, handle: HandlerFn): HandlerFn {
  const { where, batch, wanted } = settings;
  if (batch !== undefined) {
    const { coalesceBy } = batch;
    const handed = (events: readonly StoredEvent[]): readonly StoredEvent[] =>
      coalesceBy === undefined ? events : latest(events, coalesceBy);
    return (events: readonly StoredEvent[], delivery) => {
      const parts = allParts(events, wanted, where);
      return parts.length === 0 ? undefined : handle(handed(parts), delivery); // split into nothing that is wanted
    };
  }
  // A condition that throws is asked again here, as part of the attempt: it fails, and what it throws is reported.
  const one: HandlerFn =
    where === undefined ? handle : (event, delivery) => (where(event) ? handle(event, delivery) : undefined);
  return (event: StoredEvent, delivery: Attempt) =>
    isSplit(event) ? handleParts(wantedParts(event, wanted), delivery, one) : one(event, delivery);
}

/** The last of each key, in their order. */
function latest(events: readonly StoredEvent[], keyOf: (event: StoredEvent) => string): readonly StoredEvent[] {
  const last = new Map<string, StoredEvent>();
  for (const event of events) {
    const key = keyOf(event);
    last.delete(key);
    last.set(key, event);
  }
  return [...last.values()];
}
