// Handlers that fail, in every way there is: retries, time-outs, the circuit, dead letters. Nobody else notices.
import { describe, expect, test } from 'vitest';
import { type Runtime, type StoredEvent, type Subscription, TrunklineError } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, until } from '../runtime/scratch.ts';
import { startOn, stores } from './stores.ts';

const caughtUp = (runtime: Runtime, subscription: Subscription): Promise<void> =>
  subscription.caughtUpTo(runtime.status().written);
const place = (event: StoredEvent): string => `${event.aggregateId}@${event.version}`;
const retry = { attempts: 3, minDelayMs: 1, maxDelayMs: 2 };
const never = new Promise<never>(() => {});

describe.each(stores)('%s store', (store) => {
  const startRuntime = startOn(store);

  test('throws, rejects with nothing, hangs, mutates: each is a failed attempt, tried again, parked; others go on', async () => {
    const runtime = await startRuntime();
    const attempts: Record<string, number[]> = {};
    const keys = new Set<string>();
    const aborted: unknown[] = [];
    const ways: Record<string, (event: any, signal: AbortSignal) => unknown> = {
      throws() {
        throw new TypeError('broken on purpose');
      },
      rejects: () => Promise.reject(undefined),
      text: () => Promise.reject('only text'),
      mutates(event) {
        event.data.amount = 7;
      },
      hangs(_event, signal) {
        signal.addEventListener('abort', () => aborted.push((signal.reason as { code: string }).code));
        return never;
      },
    };
    const heard: string[] = [];
    const failing = runtime.subscribe({
      name: 'failing',
      retry,
      timeoutMs: 30,
      breaker: false,
      handle(event, { attempt, signal, effectKey }) {
        keys.add(effectKey);
        const way = ways[event.aggregateId];
        if (way === undefined) return void heard.push(place(event));
        (attempts[event.aggregateId] ??= []).push(attempt);
        return way(event, signal);
      },
    });
    const calm: string[] = [];
    const other = runtime.subscribe({ name: 'calm', handle: (event) => calm.push(place(event)) });
    for (const id of [...Object.keys(ways), 'fine', 'fine']) await runtime.ref(Counter, id).add(1);
    await caughtUp(runtime, failing);
    await caughtUp(runtime, other);
    expect(heard).toEqual(['fine@1', 'fine@2']);
    expect(calm).toHaveLength(7);
    // A call that goes on is not joined by a second one of its aggregate: the other attempts wait for it in vain.
    expect(attempts).toEqual(
      Object.fromEntries(Object.keys(ways).map((way) => [way, way === 'hangs' ? [1] : [1, 2, 3]])),
    );
    expect(aborted).toEqual(['HandlerTimedOut']);
    expect(keys.size).toBe(7); // one per event, whatever the attempt
    const letters = await runtime.deadLetters.list({ handler: 'failing' });
    const told = Object.fromEntries(letters.map(({ event, error }) => [event.aggregateId, error?.message]));
    expect(told).toMatchObject({
      throws: 'broken on purpose',
      text: 'only text',
      mutates: expect.stringMatching(/read only/),
    });
    expect(told.rejects).toMatch(/rejected with undefined/);
    expect(told.hangs).toMatch(/could not be called within 30 ms: .* an earlier call of the same aggregate/);
    expect(letters.every((letter) => letter.attempts === 3 && letter.reason === 'failed')).toBe(true);
    expect(letters.find(({ event }) => event.aggregateId === 'throws')?.error?.stack).toMatch(/failures\.test/);
    expect(runtime.status().subscriptions.find(({ name }) => name === 'failing')).toMatchObject({
      deadLetters: 5,
      failures: 15,
      inFlight: 0,
    });
  });

  test('errors that are not to be retried are not; where a condition throws, the event is not lost', async () => {
    const runtime = await startRuntime();
    class Hopeless extends Error {}
    const attempts: string[] = [];
    const subscription = runtime.subscribe({
      name: 'picky',
      retry: { ...retry, nonRetryable: [Hopeless, (error) => (error as Error).message === 'no use'] },
      where(event) {
        if (event.aggregateId === 'odd') throw new Error('cannot tell');
        return true;
      },
      handle(event) {
        attempts.push(event.aggregateId);
        if (event.aggregateId === 'class') throw new Hopeless();
        if (event.aggregateId === 'told') throw new Error('no use');
      },
    });
    for (const id of ['class', 'told', 'odd', 'fine']) await runtime.ref(Counter, id).add(1);
    await caughtUp(runtime, subscription);
    expect(attempts).toEqual(['class', 'told', 'fine']);
    const letters = await runtime.deadLetters.list();
    expect(letters.map(({ event, attempts, error }) => [event.aggregateId, attempts, error?.message])).toEqual([
      ['class', 1, ''],
      ['odd', 3, 'cannot tell'],
      ['told', 1, 'no use'],
    ]);
  });

  test('the rest of the aggregate is parked behind a failed event, over restarts too; requeue keeps the order', async () => {
    const dataDir = scratchFolder();
    let broken = true;
    const heard: string[] = [];
    const subscribe = (runtime: Runtime): Subscription =>
      runtime.subscribe({
        name: 'billing',
        retry: { attempts: 1 },
        handle(event) {
          if (broken && event.aggregateId === 'bad' && event.version === 2) throw new Error('not now');
          heard.push(place(event));
        },
      });
    const first = await startRuntime({ dataDir });
    const before = subscribe(first);
    for (let i = 0; i < 3; i++) for (const id of ['bad', 'good']) await first.ref(Counter, id).add(i);
    await caughtUp(first, before);
    await first.close();
    const runtime = await startRuntime({ dataDir });
    const subscription = subscribe(runtime);
    await runtime.ref(Counter, 'bad').label('x');
    await caughtUp(runtime, subscription);
    expect(heard).toEqual(['bad@1', 'good@1', 'good@2', 'good@3']);
    const { deadLetters } = runtime;
    const reasons = async (): Promise<string[]> =>
      (await deadLetters.list()).map(({ event, reason }) => `${place(event)} ${reason}`);
    expect(await reasons()).toEqual(['bad@2 failed', 'bad@3 behind', 'bad@4 behind']);
    // A rehearsal moves nothing.
    const [letter] = await deadLetters.list({
      handler: 'billing',
      reason: 'failed',
      type: 'Added',
      aggregate: Counter,
    });
    expect(await deadLetters.requeue(letter!.id, { dryRun: true })).toMatchObject([{ outcome: 'would fail' }]);
    // In vain: it stays first, and tells of both attempts.
    await deadLetters.requeue(letter!.id);
    await until(
      () => deadLetters.show(letter!.id),
      ({ attempts }) => attempts === 2,
    );
    expect(await reasons()).toEqual(['bad@2 failed', 'bad@3 behind', 'bad@4 behind']);
    broken = false;
    expect(await deadLetters.requeue(letter!.id, { dryRun: true })).toMatchObject([{ outcome: 'would succeed' }]);
    expect(heard.splice(4)).toEqual(['bad@2']);
    const [requeued] = await Promise.all([
      deadLetters.requeue({ handler: 'billing' }),
      runtime.ref(Counter, 'bad').add(9),
    ]);
    expect([3, 4]).toContain(requeued.length); // the new event may have been parked behind them by then
    await until(
      () => heard.length,
      (count) => count === 8,
    );
    expect(heard.slice(4)).toEqual(['bad@2', 'bad@3', 'bad@4', 'bad@5']);
    expect(await deadLetters.list()).toEqual([]);
    expect(await errorOf(deadLetters.show(letter!.id))).toMatchObject({ code: 'UnknownDeadLetter' });
    expect(await errorOf(deadLetters.discard('nonsense'))).toMatchObject({ code: 'UnknownDeadLetter' });
  });

  test('edit checks what it is given; discard lets the rest go on', async () => {
    const runtime = await startRuntime();
    const heard: unknown[] = [];
    const subscription = runtime.subscribe({
      name: 'labels',
      retry: { attempts: 1 },
      handle(event) {
        if (event.type === 'Labelled' && event.data.label === 'bad') throw new Error('bad label');
        heard.push([event.aggregateId, event.data]);
      },
    });
    for (const id of ['a', 'b']) {
      await runtime.ref(Counter, id).label('bad');
      await runtime.ref(Counter, id).add(1);
    }
    await caughtUp(runtime, subscription);
    const { deadLetters } = runtime;
    const [a, b] = await deadLetters.list({ reason: 'failed' });
    expect(await errorOf(deadLetters.edit(a!.id, { label: '' }))).toMatchObject({ code: 'SchemaViolation' });
    expect(await errorOf(deadLetters.edit(a!.id, { label: 5 }))).toMatchObject({ code: 'SchemaViolation' });
    expect((await deadLetters.show(a!.id)).event.data).toEqual({ label: 'bad' });
    const edited = await deadLetters.edit(a!.id, { label: 'good' });
    expect([edited.edited, edited.event.data, edited.event.id]).toEqual([true, { label: 'good' }, a!.event.id]);
    await deadLetters.requeue(a!.id);
    await until(
      () => heard.length,
      (count) => count === 2,
    );
    expect(heard).toEqual([
      ['a', { label: 'good' }],
      ['a', { amount: 1 }],
    ]);
    expect(await deadLetters.discard({ aggregateId: 'b', reason: 'failed' }, { dryRun: true })).toEqual([
      { id: b!.id, outcome: 'would be discarded' },
    ]);
    await deadLetters.discard(b!.id);
    await until(
      () => heard.length,
      (count) => count === 3,
    );
    expect(heard[2]).toEqual(['b', { amount: 1 }]);
    expect(await deadLetters.list()).toEqual([]);
    expect(subscription.status().deadLetters).toBe(0);
  });

  test("'stop' stops before the event and 'park-event' parks it alone; resume tries again", async () => {
    const runtime = await startRuntime();
    let broken = true;
    const heard: Record<string, string[]> = { stop: [], alone: [] };
    const handle = (name: string) => (event: StoredEvent) => {
      if (broken && event.aggregateId === 'a' && event.version === 2) throw new Error('broken');
      heard[name]!.push(place(event));
    };
    const stopping = runtime.subscribe({
      name: 'stop',
      retry: { attempts: 2, minDelayMs: 0 },
      onExhausted: 'stop',
      handle: handle('stop'),
    });
    const alone = runtime.subscribe({
      name: 'alone',
      retry: { attempts: 1 },
      onExhausted: 'park-event',
      handle: handle('alone'),
    });
    for (let i = 0; i < 3; i++) await runtime.ref(Counter, 'a').add(1);
    await caughtUp(runtime, alone);
    expect(heard.alone).toEqual(['a@1', 'a@3']);
    await until(
      () => stopping.status().state,
      (state) => state === 'stopped',
    );
    expect(stopping.status().lastError).toBe('broken');
    expect(heard.stop).toEqual(['a@1']);
    broken = false;
    await stopping.resume();
    await caughtUp(runtime, stopping);
    expect(heard.stop).toEqual(['a@1', 'a@2', 'a@3']);
  });

  test('too many dead letters stop the subscription instead of growing for ever', async () => {
    const runtime = await startRuntime();
    let broken = true;
    const subscription = runtime.subscribe({
      name: 'full',
      concurrency: 1,
      retry: { attempts: 1 },
      breaker: false,
      deadLetterLimit: 3,
      handle() {
        if (broken) throw new Error('broken');
      },
    });
    for (let i = 0; i < 6; i++) await runtime.ref(Counter, `a${i}`).add(1);
    await until(
      () => subscription.status().state,
      (state) => state === 'stopped',
    );
    expect((await runtime.deadLetters.list()).length).toBeGreaterThanOrEqual(3);
    for (let i = 0; i < 20; i++) await runtime.ref(Counter, 'more').add(1);
    await runtime.reached('stored');
    expect(subscription.status().state).toBe('stopped');
    expect(subscription.status().handled).toBe(0);
    broken = false;
    const { length: discarded } = await runtime.deadLetters.discard({ all: true });
    await subscription.resume();
    await caughtUp(runtime, subscription);
    expect(subscription.status()).toMatchObject({ deadLetters: 0, handled: 26 - discarded });
  });

  test('a service that is down costs an attempt now and then, not the attempts of every event', async () => {
    const runtime = await startRuntime();
    // All are there before the first call: one that came alone would make all attempts by itself.
    await Promise.all(Array.from({ length: 50 }, (_, i) => runtime.ref(Counter, `a${i}`).add(1)));
    let down = true;
    let calls = 0;
    const subscription = runtime.subscribe({
      name: 'outage',
      from: 'start',
      concurrency: 4,
      retry: { attempts: 10, minDelayMs: 0, maxDelayMs: 1 },
      breaker: { failures: 5, pauseMs: 20 },
      async handle() {
        calls++;
        if (down) throw new Error('down');
      },
    });
    await until(
      () => subscription.status().circuit,
      (circuit) => circuit === 'open',
    );
    const atOpening = calls;
    await until(
      () => calls,
      (count) => count > atOpening + 2, // what probed, one at a time
    );
    down = false;
    await caughtUp(runtime, subscription);
    expect(subscription.status()).toMatchObject({ circuit: 'closed', deadLetters: 0, handled: 50 });
    expect(calls).toBeLessThan(150);
  });

  test('a runtime closes in good time while a circuit is open', async () => {
    const runtime = await startRuntime();
    await Promise.all(Array.from({ length: 200 }, (_, i) => runtime.ref(Counter, `a${i % 40}`).add(1)));
    const subscription = runtime.subscribe({
      name: 'outage',
      breaker: { failures: 5, pauseMs: 600_000 },
      async handle() {
        throw new Error('down');
      },
    });
    await until(
      () => subscription.status().circuit,
      (circuit) => circuit === 'open',
    );
    await runtime.close({ deadlineMs: 8_000 }); // less than the grace of what runs
  });

  test('batches: as many as there are, the latest of a key, taken apart when one event is bad', async () => {
    const runtime = await startRuntime();
    for (let i = 0; i < 30; i++) await runtime.ref(Counter, `a${i % 3}`).add(i);
    const sizes: number[] = [];
    const heard: string[] = [];
    const batched = runtime.subscribe({
      name: 'batched',
      batch: { max: 7, maxDelayMs: 1_000 }, // they are all there: seven are soon read
      retry: { attempts: 2, minDelayMs: 0 },
      handle(events) {
        if (events.some((event) => event.aggregateId === 'a1' && event.version === 5)) throw new Error('bad one');
        sizes.push(events.length);
        heard.push(...events.map(place));
      },
    });
    const latest: string[] = [];
    const conflated = runtime.subscribe({
      name: 'conflated',
      batch: { max: 30, maxDelayMs: 10_000, coalesceBy: (event) => event.aggregateId },
      handle: (events) => latest.push(...events.map(place)),
    });
    await caughtUp(runtime, batched);
    await caughtUp(runtime, conflated);
    expect(Math.max(...sizes)).toBe(7);
    expect(heard.filter((one) => one.startsWith('a1'))).toEqual(['a1@1', 'a1@2', 'a1@3', 'a1@4']);
    expect(heard).toHaveLength(24);
    expect(await runtime.deadLetters.list({ handler: 'batched' })).toHaveLength(6);
    expect(latest).toEqual(['a0@10', 'a1@10', 'a2@10']);
  });

  test('what fails because the runtime has failed is no dead letter: the next start delivers it', async () => {
    const dataDir = scratchFolder();
    const runtime = await startRuntime({ dataDir });
    const [begun, hasFailed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const subscribe = (on: Runtime, handle: (event: StoredEvent) => unknown): Subscription =>
      on.subscribe({ name: 'talks', retry: { attempts: 1 }, breaker: false, handle });
    subscribe(runtime, async () => {
      const slow = runtime.ref(Counter, 'busy').addSlowly(1, 500);
      begun.resolve();
      await slow.finally(hasFailed.resolve);
    });
    await runtime.ref(Counter, 'told').add(1);
    await begun.promise;
    const failing = runtime as unknown as { stages: { failure: { fail(error: TrunklineError): void } } };
    failing.stages.failure.fail(new TrunklineError('ThreadFailed', { thread: 'flush', cause: 'a test' }));
    await hasFailed.promise;
    await new Promise((resolve) => setImmediate(resolve)); // what follows from it has followed
    await runtime.close().catch(() => {});

    const second = await startRuntime({ dataDir });
    const told: string[] = [];
    const again = subscribe(second, (event) => told.push(place(event)));
    await caughtUp(second, again);
    expect(told).toContain('told@1');
    expect(await second.deadLetters.list({ handler: 'talks' })).toEqual([]);
  });
});
