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
type Routed = { readonly trunk: string; readonly via: 'lcr' | 'fixed' };
expectTypeOf<EventNamed<typeof Call, 'CallRouted'>['data']>().toEqualTypeOf<Routed>();
type Created = { readonly caller: string; readonly hops: number };
expectTypeOf<EventNamed<typeof Call, 'CallCreated'>['data']>().toEqualTypeOf<Created>();
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
      expectTypeOf(state).toEqualTypeOf<{ readonly total: number; readonly mode: 'up' | 'down' }>();
      expectTypeOf(data).toEqualTypeOf<Readonly<{ amount: number }>>();
      expectTypeOf(one).toEqualTypeOf<EvolvingEvent<'Added', { readonly amount: number }, 'counter'>>();
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
      expectTypeOf(counter.state).toEqualTypeOf<{ readonly total: number; readonly mode: 'up' | 'down' }>();
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
      counter.after(200, { name: 'again' }).add(1);
      // @ts-expect-error: no such command
      counter.at(new Date()).ad(1);
      // @ts-expect-error: milliseconds
      counter.after('200').add(1);
      return counter.state.total;
    },
  },
});

// nobody changes state or payload in place, however deep; what has methods of its own is left as it is
declare const clock: { now(): number };
interface Deep {
  list: { name: string }[];
  byName: Map<string, { count: number }>;
  names: Set<string>;
  pair: [number, number];
  clock: { now(): number };
  anything: any;
  unsure: unknown;
}
export const Deeply = defineAggregate('deep', {
  module: import.meta.url,
  state: (): Deep => ({
    list: [],
    byName: new Map(),
    names: new Set(),
    pair: [1, 2],
    clock,
    anything: 1,
    unsure: 2,
  }),
  events: { Named: event<{ names: string[]; at: Date; price: { toJSON(): string }; more?: { n: number }[] }>() },
  evolve: {
    Named(state, data) {
      // @ts-expect-error: state
      state.list.push({ name: 'x' });
      // @ts-expect-error: state, deeper
      state.list[0]!.name = 'x';
      // @ts-expect-error: a map in the state
      state.byName.set('x', { count: 1 });
      // @ts-expect-error: what is in the map
      state.byName.get('x')!.count = 2;
      // @ts-expect-error: a set
      state.names.add('x');
      // @ts-expect-error: a tuple
      state.pair[0] = 3;
      // @ts-expect-error: a list in the payload
      data.names.push('x');
      // @ts-expect-error: deeper
      data.more![0]!.n = 1;
      // what has toJSON arrives as what it returns
      expectTypeOf(data.at).toEqualTypeOf<string>();
      expectTypeOf(data.price).toEqualTypeOf<string>();
      expectTypeOf(state.clock).toEqualTypeOf<{ now(): number }>();
      expectTypeOf(state.anything).toBeAny();
      expectTypeOf(state.unsure).toBeUnknown();
      return { ...state, list: [...state.list, { name: data.names[0]! }], names: new Set([...state.names, 'x']) };
    },
  },
  commands: {
    name(deep, names: string[]) {
      // @ts-expect-error: state
      deep.state.list.push({ name: 'x' });
      // @ts-expect-error: state, deeper
      deep.state.pair[0] = 3;
      deep.raise('Named', { names, at: new Date(), price: { toJSON: () => '1' } });
    },
  },
});
expectTypeOf<StateOf<typeof Deeply>>().toEqualTypeOf<Deep>();

// payloads of which JSON would lose a part
// @ts-expect-error: a function
event<{ call: () => void }>();
// @ts-expect-error: a bigint, deep
event<{ lines: { amount: bigint }[] }>();
// @ts-expect-error: one of several
event<{ amount: number | bigint }>();
// @ts-expect-error: a Map
event<{ byName: Map<string, number> }>();
// @ts-expect-error: undefined in a list
event<{ notes: (string | undefined)[] }>();
event<{ notes?: string[]; anything: unknown[]; pair: [string, number] }>();
// @ts-expect-error: a symbol
event<{ of?: symbol }>();
// @ts-expect-error: an instance with methods of its own
event<{ price: { plus(n: number): number } }>();
type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
event<{ any: any; unsure: unknown; json: Json; text?: string | null; date: Date; pair: [number, string] }>();
event<Record<string, number>>();
interface Tree {
  name: string;
  children: Tree[];
}
event<Tree>();
defineAggregate('recursive', {
  module: import.meta.url,
  state: (): { json: Json; tree: Tree | undefined } => ({ json: null, tree: undefined }),
  events: { Set: event<{ json: Json; tree: Tree }>() },
  evolve: {
    Set(_, { json, tree }) {
      // @ts-expect-error: read-only, deep in a tree
      tree.children[0]!.children[0]!.name = 'x';
      return { json, tree };
    },
  },
  commands: {
    set(recursive, json: Json, tree: Tree) {
      recursive.raise('Set', { json, tree });
      return recursive.state;
    },
  },
});
event<string>();

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
