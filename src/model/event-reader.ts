// What a program that has a stored event makes of it: the events that it is today.

import type { AnyAggregate } from './aggregate.ts';
import { checkAggregates } from './aggregates-option.ts';
import type { StoredEvent } from './event.ts';
import { Evolution } from './evolution.ts';
import { eventsToday } from './evolved-event.ts';

/**
 * The events that a stored one is today: itself, in its newest version and by its name of today; none, where its type is retired;
 * several, where it was split. @throws UnsupportedEventVersion, UpcastFailed
 */
export type EventReader = (stored: StoredEvent) => readonly StoredEvent[];

/** See `eventReader` (store/open.ts). */
export function makeEventReader(aggregates: readonly AnyAggregate[]): EventReader {
  checkAggregates(aggregates, undefined);
  const evolution = new Evolution(aggregates);
  return (stored) => eventsToday([stored], evolution);
}
