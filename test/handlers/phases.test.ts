// What handlers' objects do in each phase of their lives: while they start, while they close, when they have closed. A call is
// carried out, or it is refused with the reason; none resolves and is lost, and none waits for ever.
import { expect, test } from 'vitest';
import type { Projection, Runtime, Subscription } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, startSmall as startRuntime, until } from '../runtime/scratch.ts';

type Call<Of> = [name: string, call: (of: Of) => unknown];

const ofSubscription: Call<Subscription>[] = [
  ['pause', (one) => one.pause()],
  ['resume', (one) => one.resume()],
  ['reset', (one) => one.reset('start')],
  ['caughtUpTo', (one) => one.caughtUpTo(1)],
];
const ofProjection: Call<Projection<unknown>>[] = [
  ['get', (one) => one.get('a')],
  ['entries', (one) => one.entries()],
  ['caughtUpTo', (one) => one.caughtUpTo(1)],
  ['rebuild', (one) => one.rebuild()],
];
const ofRuntime: Call<Runtime>[] = [
  ['subscribe', (one) => one.subscribe({ name: 'late', handle() {} })],
  ['subscriptions.named', (one) => one.subscriptions.named('early')],
  ['projections.named', (one) => one.projections.named('early')],
  ['register', (one) => one.register({ handle() {} }, { name: 'late' })],
  ['project', (one) => one.project({ name: 'late', init: () => 0, apply: () => 0 })],
  ['replay', (one) => one.replay({ into() {} })],
  ['deadLetters', (one) => one.deadLetters],
  ['once', (one) => one.once('late', () => 1)],
  ['effect', (one) => one.effect('table', 'key')],
  ['effects.range', (one) => one.effects.range('table')],
  ['events', (one) => one.events()],
  ['setPublishing', (one) => one.setPublishing({})],
  ['reached', (one) => one.reached('stored')],
  ['unitOfWork', (one) => one.unitOfWork()],
];
const ofLetters: Call<Runtime['deadLetters']>[] = [
  ['list', (one) => one.list()],
  ['show', (one) => one.show('a/b')],
  ['requeue', (one) => one.requeue({ all: true })],
  ['discard', (one) => one.discard({ all: true })],
  ['edit', (one) => one.edit('a/b', {})],
];

/** What became of it: its error's code, or 'done'. */
async function outcome(call: () => unknown): Promise<string> {
  try {
    await call();
    return 'done';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

test('pause, resume and reset of a starting subscription are carried out, in their order', async () => {
  const dataDir = scratchFolder();
  let calls = 0;
  const subscribe = (on: Runtime): Subscription => on.subscribe({ name: 'early', handle: () => calls++ });
  const first = await startRuntime({ dataDir });
  for (let i = 0; i < 5; i++) await first.ref(Counter, 'a').add(1);
  const paused = subscribe(first);
  await paused.pause();
  expect([paused.status().state, calls]).toEqual(['paused', 0]);
  await first.close();

  const second = await startRuntime({ dataDir });
  const resumed = subscribe(second);
  await Promise.all([resumed.resume(), resumed.caughtUpTo(5)]);
  expect([resumed.status().state === 'paused', calls]).toEqual([false, 5]);
  await second.close();

  const third = await startRuntime({ dataDir });
  const again = subscribe(third);
  await again.reset('start');
  await until(
    () => calls,
    (count) => count === 10,
  );
  const order = third.subscribe({ name: 'order', handle: () => calls++ });
  await Promise.all([order.pause(), order.resume(), order.reset('now'), order.pause()]);
  expect([order.status().state, order.status().position, calls]).toEqual(['paused', 5, 10]);
});

test('each call to what is closing or has closed is refused by name, and none is lost or waits', async () => {
  const runtime = await startRuntime();
  const begun = Promise.withResolvers<void>();
  const subscription = runtime.subscribe({
    name: 'early',
    async handle(_event, { signal }) {
      begun.resolve();
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    },
    timeoutMs: 300,
    retry: { attempts: 1 },
  });
  const projection = runtime.project<number>({ name: 'early', init: () => 0, apply: (sum) => sum + 1 });
  expect(projection.status()).toMatchObject({ name: 'early', state: 'starting', version: 1 });
  await runtime.ref(Counter, 'a').add(1);
  await begun.promise;
  const { deadLetters } = runtime;
  // They wait for the event that is under way, which closing ends.
  const waiting = [subscription.pause(), subscription.reset('start')].map((one) => outcome(() => one));
  const closed = runtime.close();
  for (const [name, call] of ofSubscription.filter(([name]) => name !== 'caughtUpTo')) {
    expect([name, await outcome(() => call(subscription))]).toEqual([name, 'RuntimeClosed']);
  }
  await closed;
  for (const one of waiting) expect(['done', 'RuntimeClosed']).toContain(await one);
  for (const [name, call] of ofSubscription) {
    expect([name, await outcome(() => call(subscription))]).toEqual([name, 'RuntimeClosed']);
  }
  for (const [name, call] of ofProjection) {
    expect([name, await outcome(() => call(projection))]).toEqual([name, 'RuntimeClosed']);
  }
  for (const [name, call] of ofLetters) {
    expect([name, await outcome(() => call(deadLetters))]).toEqual([name, 'RuntimeClosed']);
  }
  for (const [name, call] of ofRuntime) {
    expect([name, await outcome(() => call(runtime))]).toEqual([name, 'RuntimeClosed']);
  }
  expect([subscription.status().state, projection.status().state]).toEqual(['closed', 'closed']);
  await Promise.all([subscription.close(), projection.close(), runtime.close()]);
});

test('a subscription that could not begin refuses with what it failed by', async () => {
  const runtime = await startRuntime();
  const subscription = runtime.subscribe({ name: 'ahead', from: 1_000, handle() {} });
  for (const [name, call] of ofSubscription) {
    expect([name, await outcome(() => call(subscription))]).toEqual([name, 'PositionAhead']);
  }
});

test('a projection whose apply throws says so to whoever waits for it', async () => {
  const runtime = await startRuntime();
  const { position } = await runtime.ref(Counter, 'a').add(1);
  for (const into of ['lmdb', 'memory'] as const) {
    const broken = runtime.project({
      name: `broken-${into}`,
      into,
      init: () => 0,
      apply() {
        throw new Error('broken on purpose');
      },
    });
    for (let i = 0; i < 2; i++) {
      expect(await errorOf(broken.caughtUpTo(position))).toMatchObject({ message: 'broken on purpose' });
    }
    expect(broken.status()).toMatchObject({ state: 'stopped', lastError: 'broken on purpose' });
  }
});

test('names of events that no known aggregate declares are refused at every door', async () => {
  const runtime = (await startRuntime()) as any;
  const projection = { name: 'p', init: () => 0, apply: () => 0 };
  for (const aggregate of [Counter, 'counter']) {
    const doors: Record<string, () => unknown> = {
      subscribe: () => runtime.subscribe({ name: 's', aggregates: [aggregate], events: ['Aded'], handle() {} }),
      project: () => runtime.project({ ...projection, aggregates: [aggregate], events: ['Aded'] }),
      events: () => runtime.events({ aggregate, type: 'Aded' }),
      'events of several': () => runtime.events({ aggregate, types: ['Added', 'Aded'] }),
      replay: () => runtime.replay({ aggregate, types: ['Aded'], into() {} }),
      setPublishing: () => runtime.setPublishing({ 'counter.Aded': false }),
      'bus.on': () => runtime.bus.on(Counter, 'Aded', () => {}),
    };
    for (const [door, call] of Object.entries(doors)) {
      expect([door, await outcome(call)]).toEqual([door, 'UnknownEventType']);
    }
  }
  expect(runtime.status().subscriptions).toEqual([]);
});

test('a filter that takes more than in the last run says what it has skipped', async () => {
  const dataDir = scratchFolder();
  const runs: [options: object, warned: object[]][] = [
    [{ events: ['Added'] }, []],
    [{ events: ['Added', 'Labelled'] }, [{ handler: 'billing', types: ['Labelled'] }]],
    [{ events: ['Added', 'Labelled'], aggregates: [Counter] }, []],
    [{ aggregates: [Counter] }, [{ types: '*' }]],
    [{ events: ['Labelled'], aggregates: [Counter] }, []],
    [{}, [{ types: '*', aggregates: '*' }]],
  ];
  for (const [options, warned] of runs) {
    const said: object[] = [];
    const quiet = (): void => {};
    const warn = (details: any): void => {
      if (details.skippedUpTo > 0) said.push(details);
    };
    const runtime = await startRuntime({ dataDir, logger: { debug: quiet, info: quiet, warn, error: quiet } });
    const subscription = runtime.subscribe({ name: 'billing', ...options, handle() {} });
    await runtime.ref(Counter, 'a').label('x');
    await subscription.caughtUpTo(await runtime.ref(Counter, 'a').add(1));
    await runtime.close();
    expect(said).toMatchObject(warned);
    expect(said).toHaveLength(warned.length);
  }
});

test('an error whose texts no store holds is a dead letter that every store can show', async () => {
  const runtime = await startRuntime();
  const subscription = runtime.subscribe({
    name: 'odd',
    retry: { attempts: 1 },
    handle() {
      throw Object.assign(new Error('half \ud83d and \0'), { code: 'E\0\ud83dX', name: 'N\0' });
    },
  });
  await subscription.caughtUpTo(await runtime.ref(Counter, 'a').add(1));
  const [letter] = await runtime.deadLetters.list();
  for (const text of Object.values(letter!.error!)) {
    expect([text, text.isWellFormed(), text.includes('\0')]).toEqual([text, true, false]);
  }
});

test('reset to what is no place is refused at once, before the checkpoint has been read, and holds nothing up', async () => {
  const runtime = await startRuntime();
  await runtime.ref(Counter, 'a').add(1);
  const subscription = runtime.subscribe({ name: 'early', handle() {} });
  const bad = ['end', new Date(Number.NaN), 1.5, undefined, 0, 10_000];
  const outcomes = await Promise.all(bad.map((from) => outcome(() => subscription.reset(from as never))));
  expect(outcomes).toEqual([...Array.from({ length: 4 }, () => 'InvalidOptions'), 'PositionGone', 'PositionAhead']);
  expect(subscription.status().state).toBe('starting');
  await subscription.caughtUpTo(1);
});
