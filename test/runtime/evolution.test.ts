import { expect, test } from 'vitest';
import { Counter } from './aggregates.ts';
import { EvolvedCounter } from './evolved.ts';
import { errorOf, scratchFolder, startRuntime } from './scratch.ts';

test('a snapshot of another reducer is left aside; an event type that nobody knows is an error, not skipped', async () => {
  const dataDir = scratchFolder();
  const before = await startRuntime({ dataDir });
  for (let i = 0; i < 25; i++) await before.ref(Counter, 'a').add(1);
  await before.ref(Counter, 'b').add(1);
  await before.ref(Counter, 'b').label('x');
  await before.close();
  const after = await startRuntime({ dataDir, aggregates: [EvolvedCounter] });
  expect(await after.ref(EvolvedCounter, 'a').total()).toMatchObject({ value: 250, version: 25 });
  const error = await errorOf(after.ref(EvolvedCounter, 'b').total());
  expect(error).toMatchObject({ code: 'UnknownEventType', details: { eventType: 'Labelled', known: ['Added'] } });
  await after.close();
  // And back: the first release finds everything as it was.
  const again = await startRuntime({ dataDir });
  expect(await again.ref(Counter, 'b').whole()).toMatchObject({
    value: { state: { total: 1, labels: ['x'] }, version: 2 },
  });
});

test('state at a version and at a time', async () => {
  const runtime = await startRuntime();
  const counter = runtime.ref(Counter, 'a');
  const first = await counter.add(1);
  const time = first.events[0]!.occurredAt;
  while (Date.now() <= time.getTime());
  await counter.add(2);
  expect((await runtime.store.stateAt(Counter, 'a', { version: 1 }))!.state.total).toBe(1);
  expect((await runtime.store.stateAt(Counter, 'a', { time }))!.state.total).toBe(1);
  expect((await runtime.store.stateAt(Counter, 'a', { time: new Date() }))!.state.total).toBe(3);
  expect(await runtime.store.stateAt(Counter, 'ghost', { version: 1 })).toBeUndefined();
  const heads = [];
  for await (const head of runtime.store.heads(Counter)) heads.push(head);
  expect(heads).toEqual([expect.objectContaining({ id: 'a', version: 2 })]);
});

test('by type since a time; from a version; over everything, aborted, followed', async () => {
  const runtime = await startRuntime();
  await runtime.ref(Counter, 'a').addMany(5);
  const { events } = await runtime.ref(Counter, 'b').label('x');
  expect((await runtime.store.getByType('Labelled')).map(({ id }) => id)).toEqual([events[0]!.id]);
  expect(await runtime.store.getByType('Labelled', { since: new Date(Date.now() + 60_000) })).toEqual([]);
  expect((await runtime.store.getFromVersion(Counter, 'a', 4)).map(({ version }) => version)).toEqual([4, 5]);
  const abort = new AbortController();
  const seen: number[] = [];
  const follow = async (): Promise<void> => {
    for await (const event of runtime.events({ follow: true, signal: abort.signal })) {
      seen.push(event.position);
      if (seen.length === 6) await runtime.ref(Counter, 'c').add(1);
      if (seen.length === 7) abort.abort(new Error('enough'));
    }
  };
  expect((await errorOf(follow())).message).toBe('enough');
  expect(seen).toHaveLength(7);
});
