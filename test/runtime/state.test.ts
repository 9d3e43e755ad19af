// Reading an aggregate's state without a command made for it.
import { defineAggregate, event } from 'trunkline';
import { expect, expectTypeOf, test } from 'vitest';
import { Counter } from '../fixtures/counter.ts';
import { errorOf, scratchFolder, startRuntime } from './scratch.ts';
import { Lot, Tally } from './tally.ts';

test('the state is that of all commands before, alive or after a restart', async () => {
  const runtime = await startRuntime({ aggregates: [Counter] });
  expect(await runtime.state(Counter, 'a')).toBeUndefined();
  const adding = Array.from({ length: 100 }, (_, i) => runtime.ref(Counter, 'a').add(i));
  const read = await runtime.state(Counter, 'a');
  expectTypeOf(read!.state).toEqualTypeOf<{ readonly total: number }>();
  expect(read).toMatchObject({ state: { total: 4950 }, version: 100 });
  expect(Object.isFrozen(read!.state)).toBe(true);
  const last = (await Promise.all(adding)).at(-1)!;
  expect(read!.position).toBeGreaterThanOrEqual(last.position);
});

test('it raises nothing, and needs no level beyond written', async () => {
  const runtime = await startRuntime({ aggregates: [Counter], ack: 'stored' });
  await runtime.ref(Counter, 'a').add(1);
  const { written } = runtime.status();
  for (let i = 0; i < 10; i++) expect((await runtime.state(Counter, 'a'))?.version).toBe(1);
  expect(runtime.status().written).toBe(written);
  const events = [];
  for await (const one of runtime.events()) events.push(one.type);
  expect(events).toEqual(['Added']);
});

test('a state that JSON cannot carry is folded from the events', async () => {
  const runtime = await startRuntime({ aggregates: [Tally] });
  await runtime.ref(Tally, 't').count('a');
  await runtime.ref(Tally, 't').count('a');
  const read = await runtime.state(Tally, 't');
  expect(read).toMatchObject({ version: 2, state: { counts: new Map([['a', 2]]) } });
  expect(await runtime.state(Tally, 'never')).toBeUndefined();
});

test('what is `undefined` is left out, whether the actor is alive, from a snapshot, or folded by the store', async () => {
  const options = { dataDir: scratchFolder(), aggregates: [Lot] };
  const left = { title: '', bids: [{ by: 'ann' }] };
  const runtime = await startRuntime(options);
  await runtime.ref(Lot, 'a').with({ ack: 'stored' }).bid('ann');
  const alive = await runtime.state(Lot, 'a');
  expectTypeOf(alive!.state).toEqualTypeOf<{
    readonly title: string;
    readonly winner?: string;
    readonly bids: readonly { readonly by: string; readonly note?: string }[];
  }>();
  const folded = await runtime.store.stateAt(Lot, 'a', { version: 2 });
  await runtime.close();
  const replayed = await (await startRuntime(options)).state(Lot, 'a');
  for (const read of [alive, folded, replayed]) {
    expect(read).toMatchObject({ version: 2 });
    expect(read!.state).toStrictEqual(left);
    for (const part of [read!.state, read!.state.bids, read!.state.bids[0]]) expect(Object.isFrozen(part)).toBe(true);
  }
});

test('what cannot be asked for is refused at the edge', async () => {
  const runtime = await startRuntime({ aggregates: [Counter] });
  const Other = defineAggregate('other', {
    module: import.meta.url,
    state: () => 0,
    events: { Done: event() },
    evolve: { Done: () => 1 },
    commands: {},
  });
  expect((await errorOf(runtime.state(Other, 'a'))).code).toBe('UnknownAggregateType');
  expect((await errorOf(runtime.state(Counter, ''))).code).toBe('InvalidId');
  expect((await errorOf(runtime.state(Counter, 'a', { deadlinMs: 1 } as never))).code).toBe('InvalidOptions');
  expect((await errorOf(runtime.state(Counter, 'a', { signal: AbortSignal.abort('no') }))).code).toBe('Aborted');
  expect((await errorOf(runtime.command('counter', 'a', '(state)', []))).code).toBe('UnknownCommand');
  await runtime.close();
  expect((await errorOf(runtime.state(Counter, 'a'))).code).toBe('RuntimeClosed');
});
