// What selects nothing, or something that is not here, is said where it is given; no door takes it in silence.
import { expect, test } from 'vitest';
import { createRuntime, defineAggregate, defineProjection, event } from '../../src/index.ts';
import { readArchive } from '../../src/postgres.ts';
import { given } from '../../src/testing.ts';
import { Counter } from '../fixtures/counter.ts';
import { errorOf, scratchFolder, startRuntime } from './scratch.ts';

const handle = (): void => {};
const rows = { name: 'p', init: () => ({}), apply: (row: object) => row };
/** Not among the runtime's. */
const Stranger = defineAggregate('stranger', {
  module: new URL('../fixtures/counter.ts', import.meta.url).href,
  state: () => ({}),
  events: { Added: event<{ amount: number }>() },
  evolve: { Added: (state) => state },
  commands: {},
});

async function refusal(door: () => unknown): Promise<{ code: string; message: string }> {
  return errorOf((async () => door())());
}

test('empty lists, lists of nothing, and what is missing are refused, with what to do', async () => {
  const r: any = await startRuntime({ aggregates: [Counter] });
  await r.ref(Counter, 'a').add(1);
  const drained = async (events: AsyncIterable<unknown>): Promise<void> => {
    for await (const _ of events);
  };
  const doors: [door: () => unknown, says: RegExp][] = [
    [() => r.subscribe({ name: 'n', events: [], handle }), /events.*: is empty, .*name event types, or '\*' is all/],
    [() => r.subscribe({ name: 'n', events: [undefined], handle }), /events\[0\].*: must be the name/],
    [() => r.subscribe({ name: 'n', aggregates: [], handle }), /aggregates.*: is empty, .*leave it out for all/],
    [() => r.project({ ...rows, events: [] }), /events.*: is empty/],
    [() => defineProjection({ ...rows, events: [] }), /projection.events.*: is empty/],
    [() => r.replay({ into: handle, types: [] }), /types.*: is empty, .*leave it out to replay all/],
    [() => drained(r.events({ types: [] })), /types.*: is empty, .*leave it out for all/],
    [() => drained(r.store.query({ types: [] })), /types.*: is empty/],
    [() => r.store.stateAt(Counter, 'a'), /moment: is missing: say as of when, by \{ version \} or \{ time \}/],
    [() => r.store.stateAt(Counter, 'a', {}), /must be \{ version \} or \{ time \}/],
    [() => drained((readArchive as any)()), /file: must be the path of an archive/],
    [() => drained(readArchive('')), /must be the path of an archive/],
    [() => drained((readArchive as any)('x', 5)), /signal/],
    [() => (given as any)(), /aggregate: is undefined: do two modules import each other/],
    [() => r.deadLetters.requeue(), /requeue: must name a letter, or select some/],
    [() => r.deadLetters.discard(Object.create({ all: true })), /all: is missing/],
    [
      () => createRuntime({ dataDir: scratchFolder(), aggregates: ['counter' as never] }),
      /is a name: give what defineAggregate/,
    ],
  ];
  for (const [door, says] of doors) {
    expect([String(door), await refusal(door)]).toEqual([
      String(door),
      expect.objectContaining({ code: 'InvalidOptions', message: expect.stringMatching(says) }),
    ]);
  }
});

test('a definition that the runtime was not given is refused, and so is a handler that nobody knows', async () => {
  const r: any = await startRuntime({ aggregates: [Counter] });
  const doors = [
    () => r.subscribe({ name: 'n', aggregates: [Stranger], handle }),
    () => r.subscribe({ name: 'n', aggregates: [Counter, Stranger], events: ['Added'], handle }),
    () => r.project({ ...rows, aggregates: [Stranger] }),
    () => r.replay({ into: handle, aggregate: Stranger }),
    () => r.bus.on(Stranger, 'Added', handle),
    () => r.ref(Stranger, 'a'),
    () => r.state(Stranger, 'a'),
  ];
  for (const door of doors) {
    expect([String(door), await refusal(door)]).toEqual([
      String(door),
      expect.objectContaining({ code: 'UnknownAggregateType', message: expect.stringMatching(/'stranger'.*counter/) }),
    ]);
  }
  // A name may be that of an entity, or of the past.
  await r.subscribe({ name: 'by-name', aggregates: ['stranger'], handle }).close();
  for (const change of ['requeue', 'discard']) {
    expect(await errorOf(r.deadLetters[change]({ handler: 'by-nam' }))).toMatchObject({
      code: 'UnknownSubscription',
      message: expect.stringContaining('known: by-name'),
    });
  }
});
