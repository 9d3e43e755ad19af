// Compiled, never run: what a caller may say to a ref, and what it gets.
import { pino } from 'pino';
import { createRuntime, type EventOf, type Receipt, type Ref, type Runtime } from 'trunkline';
import { expectTypeOf } from 'vitest';
import { Call, Carrier } from './calls.ts';

declare const runtime: Runtime;

// a logger: pino's, or the console
export const logged = [pino(), console].map((logger) => createRuntime({ dataDir: '', aggregates: [Call], logger }));

const call = runtime.ref(Call, 'c-1');
const carrier = runtime.ref(Carrier, 'c');
type Of<A, Value> = Promise<Receipt<Value, EventOf<A>>>;

// arguments and results come from the commands; a promise is unwrapped
expectTypeOf(call.create).parameters.toEqualTypeOf<[input: { caller: string }]>();
expectTypeOf(call.create({ caller: 'a' })).toEqualTypeOf<Of<typeof Call, void>>();
expectTypeOf(call.route({ trunks: [] })).toEqualTypeOf<Of<typeof Call, string>>();
expectTypeOf(call.end()).toEqualTypeOf<Of<typeof Call, boolean>>();
expectTypeOf(carrier.reserve).parameters.toEqualTypeOf<[channels: number, urgent?: boolean | undefined]>();
expectTypeOf(carrier.reserve(1)).toEqualTypeOf<Of<typeof Carrier, { readonly free: number }>>();

// @ts-expect-error: no such command
call.rout({ trunks: [] });
// @ts-expect-error: another payload
call.route({ trunks: 'a' });
// @ts-expect-error: nothing is not enough
call.route();
// @ts-expect-error: something too much
call.route({ trunks: [], price: 1 });
// @ts-expect-error: one argument too many
call.end(true);
// @ts-expect-error: a receipt is behind a promise
call.end().value;
// @ts-expect-error: not an aggregate
runtime.ref({ name: 'call' }, 'c-1');
// @ts-expect-error: an id is text
runtime.ref(Call, 7);

// with() keeps the types, again and again, and knows its options
expectTypeOf(call.with({ ack: 'synced' })).toEqualTypeOf<Ref<typeof Call>>();
const careful = call
  .with({ ack: 'synced', deadlineMs: 20 })
  .with({ idempotencyKey: 'k', principal: 'p', metadata: { tenantId: 't' } });
expectTypeOf(careful.route({ trunks: [] })).toEqualTypeOf<Of<typeof Call, string>>();
// @ts-expect-error: no such level
call.with({ ack: 'sometime' });
// @ts-expect-error: a principal is text
call.with({ principal: 7 });
// @ts-expect-error: no such option
call.with({ deadline: 20 });
// @ts-expect-error: a wrong command is wrong behind with(), too
careful.rout({ trunks: [] });

// awaiting a ref is harmless: it is no promise
export async function awaited(): Promise<void> {
  const same = await runtime.ref(Call, 'c-1');
  expectTypeOf(same).toEqualTypeOf<Ref<typeof Call>>();
  const { value, version, position, events, reached } = await same.route({ trunks: [] });
  expectTypeOf(value).toEqualTypeOf<string>();
  expectTypeOf(version).toEqualTypeOf<number>();
  expectTypeOf(position).toEqualTypeOf<number>();
  expectTypeOf(events).toEqualTypeOf<readonly EventOf<typeof Call>[]>();
  expectTypeOf(reached('stored')).toEqualTypeOf<Promise<void>>();
  // @ts-expect-error: no such level
  reached('sometime');
}

// live listeners
runtime.bus.on(Call, 'CallRouted', (event) => {
  expectTypeOf(event.data).toEqualTypeOf<{ readonly trunk: string; readonly via: 'lcr' | 'fixed' }>();
  // @ts-expect-error: an event is immutable
  event.data.trunk = 'x';
  expectTypeOf(event.type).toEqualTypeOf<'CallRouted'>();
});
runtime.bus.on(Call, '*', (event) => {
  expectTypeOf(event).toEqualTypeOf<EventOf<typeof Call>>();
  if (event.type === 'CallCreated') expectTypeOf(event.data.hops).toEqualTypeOf<number>();
});
runtime.bus.on(Call, 'CallCreated', () => {}, { where: (event) => event.data.hops > 1 });
runtime.bus.on(Call, 'CallRouted', (events) => expectTypeOf(events[0]!.data.via).toEqualTypeOf<'lcr' | 'fixed'>(), {
  batch: true,
});
// a batch, with a predicate: both infer their parameter
runtime.bus.on(Call, 'CallRouted', (events) => expectTypeOf(events[0]!.data.via).toEqualTypeOf<'lcr' | 'fixed'>(), {
  batch: true,
  where: (event) => event.data.via === 'lcr',
});
runtime.bus.on(Call, '*', (events) => expectTypeOf(events).toEqualTypeOf<readonly EventOf<typeof Call>[]>(), {
  batch: true,
  where: (event) => event.type === 'CallRouted',
});
runtime.bus.on('*', (events) => expectTypeOf(events[0]!.version).toEqualTypeOf<number>(), {
  batch: true,
  where: (event) => event.version > 1,
});
runtime.bus.on('*', (event) => expectTypeOf(event.version).toEqualTypeOf<number>(), {
  where: ({ version }) => version > 1,
});
// @ts-expect-error: without batch, one event at a time
runtime.bus.on(Call, 'CallRouted', (events) => events[0], { where: () => true });
// `published` is a level; that a stream is there is checked when it is asked for
call.with({ ack: 'published' });
runtime.bus.on('*', (event) => expectTypeOf(event.data).toEqualTypeOf<unknown>());
// @ts-expect-error: no such event
runtime.bus.on(Call, 'CallRoutd', () => {});
// @ts-expect-error: an event of another aggregate
runtime.bus.on(Carrier, 'CallRouted', () => {});

// the store, by definition
export async function stored(): Promise<void> {
  expectTypeOf(await runtime.store.getByAggregate(Call, 'c-1')).toEqualTypeOf<EventOf<typeof Call>[]>();
}
