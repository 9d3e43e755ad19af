// Compiled, never run: names narrow what a reader gets, over one aggregate or several, wherever events are chosen.
import { defineProjection, type EventsNamed, type Runtime, type StoredEvent } from 'trunkline';
import { expectTypeOf } from 'vitest';
import { Call, Carrier } from './calls.ts';

declare const runtime: Runtime;
type Routed = EventsNamed<typeof Call, 'CallRouted'>;
type RoutedOrReserved = Routed | EventsNamed<typeof Carrier, 'Reserved'>;

expectTypeOf<Routed['data']>().toEqualTypeOf<{ readonly trunk: string; readonly via: 'lcr' | 'fixed' }>();

// subscribe
runtime.subscribe({
  name: 'one',
  aggregates: [Call],
  events: ['CallRouted'],
  where: (event) => event.data.via === 'lcr',
  handle: (event) => expectTypeOf(event).toEqualTypeOf<Routed>(),
});
runtime.subscribe({
  name: 'several',
  aggregates: [Call, Carrier],
  events: ['CallRouted', 'Reserved'],
  handle(event) {
    expectTypeOf(event).toEqualTypeOf<RoutedOrReserved>();
    return event.type === 'Reserved' ? event.data.channels : event.data.trunk;
  },
});
runtime.subscribe({
  name: 'batch',
  aggregates: [Call],
  events: ['CallRouted'],
  batch: { max: 2, coalesceBy: (event) => event.data.trunk },
  handle: (events) => expectTypeOf(events).toEqualTypeOf<readonly Routed[]>(),
});
runtime.subscribe({ name: 'all', aggregates: [Call], events: '*', handle: (event) => event.type === 'CallEnded' });
runtime.subscribe({ name: 'all', aggregates: [Call], handle: (event) => event.type === 'CallEnded' });
runtime.subscribe({ name: 'by name', aggregates: ['call'], events: ['Old'], handle: (event) => event.data.anything });
runtime.subscribe({ name: 'mixed', aggregates: [Call, 'old'], events: ['Old'], handle: (event) => event.aggregateId });
runtime.subscribe({ name: 'any', events: ['CallRouted'], handle: (event) => event.data.trunk });
runtime.subscribe({
  name: 'misspelt',
  aggregates: [Call],
  // @ts-expect-error: no event of these aggregates
  events: ['CallRoutd'],
  handle() {},
});
// @ts-expect-error: CallRouted has no caller
runtime.subscribe({ name: 'x', aggregates: [Call], events: ['CallRouted'], handle: (event) => event.data.caller });

// projections
runtime.project({
  name: 'inline',
  aggregates: [Call],
  events: ['CallRouted'],
  key: (event) => event.data.trunk,
  init: () => ({ calls: 0, last: '' }),
  apply(row, event) {
    expectTypeOf(event).toEqualTypeOf<Routed>();
    return { calls: row.calls + 1, last: event.data.via };
  },
});
const trunks = defineProjection({
  name: 'trunks',
  aggregates: [Call, Carrier],
  events: ['CallRouted', 'Reserved'],
  init: () => ({ calls: 0 }),
  apply: (row, event) => ({ calls: row.calls + (event.type === 'Reserved' ? event.data.channels : 1) }),
});
expectTypeOf(runtime.project(trunks).get('x')).toEqualTypeOf<Promise<{ calls: number } | undefined>>();
defineProjection({
  name: 'misspelt',
  aggregates: [Call],
  // @ts-expect-error: no event of these aggregates
  events: ['CallRoutd'],
  init: () => 0,
  apply: () => 0,
});

// queries
expectTypeOf(runtime.events({ aggregate: Call, type: 'CallRouted' })).toEqualTypeOf<AsyncIterableIterator<Routed>>();
expectTypeOf(runtime.store.query({ aggregate: Call, types: ['CallRouted'] })).toEqualTypeOf<
  AsyncIterableIterator<Routed>
>();
expectTypeOf(runtime.store.getByType('CallRouted', { aggregate: Call })).toEqualTypeOf<Promise<Routed[]>>();
expectTypeOf(runtime.store.getByType('Anything')).toEqualTypeOf<Promise<StoredEvent<'Anything', any>[]>>();
expectTypeOf(runtime.events()).toEqualTypeOf<AsyncIterableIterator<StoredEvent<string, any>>>();
// @ts-expect-error: no event of this aggregate
runtime.events({ aggregate: Call, type: 'CallRoutd' });
// @ts-expect-error: no event of this aggregate
runtime.store.getByType('CallRoutd', { aggregate: Call });

// replay
runtime.replay({
  aggregate: Call,
  types: ['CallRouted'],
  into: (event) => expectTypeOf(event).toEqualTypeOf<Routed>(),
});
