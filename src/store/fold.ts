// Time travel: an aggregate's events folded up to a moment.

import { TrunklineError } from '../base/errors.ts';
import { own } from '../base/own.ts';
import type { AnyAggregate, StateOf } from '../model/aggregate.ts';
import type { EvolvingEvent, StoredEvent } from '../model/event.ts';
import { Evolution } from '../model/evolution.ts';
import { eventsToday } from '../model/evolved-event.ts';
import { readableState } from '../model/readable-state.ts';
import type { AsOf, StateAt } from './store.ts';

type Reducer = (state: unknown, data: unknown, event: EvolvingEvent) => unknown;

/** The aggregate at that moment; undefined if it had no event then. `events`: its events as they are stored, from the first, in version order. */
export function foldTo<A extends AnyAggregate>(
  aggregate: A,
  events: readonly StoredEvent[],
  moment: AsOf,
): StateAt<StateOf<A>> | undefined {
  // Clocks may go back: nothing that had occurred by a time is left out, and nothing before it either.
  const isWithin =
    'time' in moment
      ? (event: StoredEvent) => event.occurredAt.getTime() <= moment.time.getTime()
      : (event: StoredEvent) => event.version <= moment.version;
  const lastIndex = events.findLastIndex(isWithin);
  const last = events[lastIndex];
  if (last === undefined) return undefined;
  const evolution = new Evolution([aggregate]);
  let state: unknown = aggregate.state();
  for (let i = 0; i <= lastIndex; i++) state = evolve(aggregate, evolution, state, events[i]!);
  return { state: readableState(state as StateOf<A>), version: last.version, position: last.position };
}

/** The state after a stored event, whatever that is today. */
function evolve(aggregate: AnyAggregate, evolution: Evolution, before: unknown, stored: StoredEvent): unknown {
  let state = before;
  for (const event of eventsToday([stored], evolution)) {
    const reducer = own(aggregate.evolve as Record<string, Reducer>, event.type);
    if (!reducer) {
      const known = Object.keys(aggregate.events);
      const { id: eventId, aggregateId, version, position } = event;
      throw new TrunklineError('UnknownEventType', {
        aggregateType: aggregate.name,
        eventType: event.type,
        known,
        stored: { aggregateId, version, eventId, position },
      });
    }
    state = reducer(state, event.data, event);
  }
  return state;
}
