// Reading an aggregate's state without a command made for it.
import { defineAggregate, event } from 'trunkline';
import { expect, expectTypeOf, test } from 'vitest';
import { Counter } from '../fixtures/counter.ts';
import { errorOf, startRuntime } from './scratch.ts';
import { Tally } from './tally.ts';

test('the state is that of all commands before, alive or after a restart', async () => {
  const runtime = await startRuntime({ aggregates: [Counter] });
  expect(await runtime.state(Counter, 'a')).toBeUndefined();
  const adding = Array.from({ length: 100 }, (_, i) => runtime.ref(Counter, 'a').add(i));
  const read = await runtime.state(Counter, 'a');
  expectTypeOf(read!.state).toEqualTypeOf<{ total: number }>();
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
