// The user's handler as the attempts call it.
import type { StoredEvent } from '../model/event.ts';
import type { HandlerFn } from './handler-code.ts';
import type { SubscriptionSettings } from './settings.ts';

export function callOf(settings: SubscriptionSettings, handle: HandlerFn): HandlerFn {
  const { where, batch } = settings;
  if (batch !== undefined) {
    const { coalesceBy } = batch;
    return coalesceBy === undefined ? handle : (events, delivery) => handle(latest(events, coalesceBy), delivery);
  }
  // A condition that throws is asked again here, as part of the attempt: it fails, and what it throws is reported.
  return where === undefined ? handle : (event, delivery) => (where(event) ? handle(event, delivery) : undefined);
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
