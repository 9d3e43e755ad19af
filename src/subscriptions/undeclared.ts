// Names of aggregates and events that are declared nowhere here. Entities and aggregates of the past are declared nowhere, so a name
// may be right; one that looks misspelt is said. Host thread.

import { nearest } from '../base/known-fields.ts';
import type { Logger } from '../base/logger.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import type { SubscriptionSettings } from './settings.ts';

export function noteUndeclared(
  handler: string,
  { types, aggregates }: SubscriptionSettings,
  { definitions, logger }: { definitions: ReadonlyMap<string, AnyAggregate>; logger: Logger },
): void {
  const names = [...definitions.keys()];
  for (const aggregateType of aggregates ?? []) {
    const meant = names.includes(aggregateType) ? undefined : nearest(aggregateType, names);
    if (meant === undefined) continue;
    logger.warn({ handler, aggregateType, meant }, 'no aggregate here has this name; is it misspelt?');
  }
  if (aggregates !== undefined) return;
  const known = [...definitions.values()].flatMap(({ events }) => Object.keys(events));
  for (const eventType of types ?? []) {
    const meant = known.includes(eventType) ? undefined : nearest(eventType, known);
    if (meant === undefined) continue;
    logger.warn({ handler, eventType, meant }, 'no aggregate declares this event; is its name misspelt?');
  }
}
