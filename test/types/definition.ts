// Compiled, never run: what a definition must refuse, and what it must infer without being told.
import {
  type CommandContext,
  defineAggregate,
  type EventNamed,
  type EventOf,
  type EvolvingEvent,
  event,
  type StateOf,
  type StoredEvent,
} from 'trunkline';
import { expectTypeOf } from 'vitest';
import { z } from 'zod';
import { Call, type CallState, type Carrier } from './calls.ts';

// state, events and names are inferred, and literals do not widen
expectTypeOf(Call.name).toEqualTypeOf<'call'>();
expectTypeOf<StateOf<typeof Call>>().toEqualTypeOf<CallState>();
expectTypeOf<StateOf<typeof Carrier>>().toEqualTypeOf<{ open: number }>();
expectTypeOf<EventOf<typeof Call>['type']>().toEqualTypeOf<'CallCreated' | 'CallRouted' | 'CallEnded'>();
expectTypeOf<EventOf<typeof Call>['aggregateType']>().toEqualTypeOf<'call'>();
expectTypeOf<EventNamed<typeof Call, 'CallRouted'>['data']>().toEqualTypeOf<{ trunk: string; via: 'lcr' | 'fixed' }>();
expectTypeOf<EventNamed<typeof Call, 'CallCreated'>['data']>().toEqualTypeOf<{ caller: string; hops: number }>();
expectTypeOf<EventNamed<typeof Call, '*'>>().toEqualTypeOf<EventOf<typeof Call>>();

// an event narrows by its type
export function narrow(one: EventOf<typeof Call>): string {
  if (one.type === 'CallRouted') return one.data.via;
  // @ts-expect-error: only CallRouted has it
  one.data.via;
  return one.type;
}
expectTypeOf<EventOf<typeof Carrier>>().toExtend<StoredEvent>();

// evolve sees state, the schema's output and the event, all typed; it may not return another state
defineAggregate('counter', {
  module: import.meta.url,
  state: () => ({ total: 0, mode: 'up' as 'up' | 'down' }),
  events: { Added: event<{ amount: number }>(), Turned: event(z.object({ to: z.enum(['up', 'down']) })) },
  evolve: {
    Added(state, data, one) {
      expectTypeOf(state).toEqualTypeOf<{ total: number; mode: 'up' | 'down' }>();
      expectTypeOf(data).toEqualTypeOf<Readonly<{ amount: number }>>();
      expectTypeOf(one).toEqualTypeOf<EvolvingEvent<'Added', { amount: number }, 'counter'>>();
      // @ts-expect-error: data is immutable
      data.amount = 2;
      // @ts-expect-error: the position of an event is not known while it is being raised
      one.position;
      return { ...state, total: state.total + data.amount };
    },
    Turned: (state, { to }) => ({ ...state, mode: to }),
  },
  commands: {
    add(counter, amount: number): number {
      expectTypeOf(counter.state).toEqualTypeOf<{ total: number; mode: 'up' | 'down' }>();
      expectTypeOf(counter.version).toEqualTypeOf<number>();
      expectTypeOf(counter.signal).toEqualTypeOf<AbortSignal>();
      counter.raise('Added', { amount });
      // @ts-expect-error: no such event
      counter.raise('Addded', { amount });
      // @ts-expect-error: another payload
      counter.raise('Added', { amount: 'two' });
      // @ts-expect-error: something is missing
      counter.raise('Added', {});
      // @ts-expect-error: something is too much
      counter.raise('Added', { amount, extra: 1 });
      // @ts-expect-error: the schema says up or down
      counter.raise('Turned', { to: 'sideways' });
      // @ts-expect-error: state is read, never assigned
      counter.state = { total: 1, mode: 'up' };
      return counter.state.total;
    },
  },
});

defineAggregate('wrong', {
  module: import.meta.url,
  state: () => ({ total: 0 }),
  events: { Added: event<{ amount: number }>(), Removed: event<{ amount: number }>() },
  // @ts-expect-error: Removed has no reducer
  evolve: { Added: (state) => state },
  commands: {},
});

defineAggregate('wrong', {
  module: import.meta.url,
  state: () => ({ total: 0 }),
  events: { Added: event<{ amount: number }>() },
  // @ts-expect-error: another state
  evolve: { Added: () => ({ sum: 1 }) },
  commands: {},
});

defineAggregate('wrong', {
  module: import.meta.url,
  state: () => ({ total: 0 }),
  events: { Added: event<{ amount: number }>() },
  evolve: { Added: (state) => state },
  // @ts-expect-error: a ref needs `with` for itself
  commands: { with(_: CommandContext<any, any>): void {} },
});

defineAggregate('wrong', {
  module: import.meta.url,
  state: () => ({ total: 0 }),
  events: { Added: event<{ amount: number }>() },
  evolve: { Added: (state) => state },
  // @ts-expect-error: a command is a function
  commands: { add: 1 },
});
