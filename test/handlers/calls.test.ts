// How a handler is called when calls misbehave: out of time, blocked, beside one another, once more by a replay.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { Runtime, StoredEvent, Subscription } from '../../src/index.ts';
import type { Attempt } from '../../src/subscriptions/attempt.ts';
import { Breaker } from '../../src/subscriptions/breaker.ts';
import { DeliveryRunner } from '../../src/subscriptions/delivery-runner.ts';
import { Slots } from '../../src/subscriptions/slots.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, startSmall as startRuntime, until } from '../runtime/scratch.ts';

const caughtUp = (runtime: Runtime, subscription: Subscription): Promise<void> =>
  subscription.caughtUpTo(runtime.status().written);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const looping = new URL('./looping.ts', import.meta.url).href;

test('an event that blocks its thread for ever is a dead letter; the thread is replaced, and the others are handled', async () => {
  const runtime = await startRuntime();
  const subscription = runtime.subscribe({
    name: 'heavy',
    thread: 'worker',
    module: looping,
    timeoutMs: 100,
    retry: { attempts: 2, minDelayMs: 1 },
  });
  await runtime.ref(Counter, 'poison').add(13);
  for (let i = 0; i < 10; i++) await runtime.ref(Counter, `good${i}`).add(1);
  await caughtUp(runtime, subscription);
  const letters = await runtime.deadLetters.list();
  expect(letters.map(({ event, attempts }) => [event.aggregateId, attempts])).toEqual([['poison', 2]]);
  expect(subscription.status()).toMatchObject({ failures: 2, circuit: 'closed' });
});

test('a module that cannot be loaded at first is loaded by another thread', async () => {
  const dataDir = scratchFolder();
  process.env.TRUNKLINE_TEST_LOADS_ONCE_MORE = join(dirname(dataDir), 'has failed');
  try {
    const runtime = await startRuntime({ dataDir });
    const subscription = runtime.subscribe({
      name: 'late',
      thread: 'worker',
      module: looping,
      retry: { attempts: 2, minDelayMs: 1 },
    });
    for (let i = 0; i < 3; i++) await runtime.ref(Counter, `good${i}`).add(1);
    await caughtUp(runtime, subscription);
    expect(subscription.status()).toMatchObject({ deadLetters: 0, failures: 0, handled: 3 });
  } finally {
    delete process.env.TRUNKLINE_TEST_LOADS_ONCE_MORE;
  }
});

test('a thread that loads its module again, after one has ended, has as long as at the start, and no attempt is counted', async () => {
  const retry = { attempts: 1, minDelayMs: 1, factor: 1, maxDelayMs: 1, jitter: false, when: () => true };
  const settings = { name: 'loading', retry, timeoutMs: 10, module: looping, moduleMs: 20 } as never;
  const unready: Error[] = [];
  let calls = 0;
  const call = (_: unknown, given: Attempt): Promise<void> => {
    const { attempt, signal } = given;
    expect(attempt).toBe(1);
    given.waits();
    if (++calls < 3) return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    given.called();
    return Promise.resolve();
  };
  const runner = new DeliveryRunner(settings, call, {
    state: {} as never,
    breaker: new Breaker(undefined),
    slots: new Slots(1),
    events: { runtimeHasFailed: () => false, unready: (error) => unready.push(error as Error) },
  });
  const event = { id: 'e', position: 1, aggregateType: 'counter', aggregateId: 'a', version: 1, type: 'Added' };
  let isDone = false;
  const done = (): void => {
    isDone = true;
  };
  expect(await runner.run(event as never, done)).toEqual({ kind: 'done' });
  expect({ isDone, failures: runner.failures }).toEqual({ isDone: true, failures: 0 });
  for (const error of unready) expect(error).toMatchObject({ code: 'HandlerTimedOut', details: { timeoutMs: 20 } });
  expect(unready).toHaveLength(2);
}, 20_000);

test.each([0, 5])(
  'no event is to blame for a thread that cannot be made, for want of descriptors: %i are free',
  async (spare) => {
    const program = join(import.meta.dirname, 'no-threads.ts');
    const node = `${process.execPath} --no-warnings --conditions=trunkline-source ${program} ${scratchFolder()} ${spare}`;
    const { stdout } = await promisify(execFile)('sh', ['-c', `ulimit -n 256; exec ${node}`]);
    const { isUnready, lastError, ...rest } = JSON.parse(stdout);
    expect(rest).toEqual({ usedUp: 'EMFILE', letters: ['ends'], failures: 1, handled: 2 });
    // The newer a Node, the fewer it may need to make a thread.
    if (spare === 0)
      expect({ isUnready, lastError }).toEqual({ isUnready: true, lastError: expect.stringMatching(/EMFILE/) });
  },
  30_000,
);

test('no event is to blame for a module that is missing; it is handled once the module is there', async () => {
  const dataDir = scratchFolder();
  const module = join(dirname(dataDir), 'missing.mjs');
  const runtime = await startRuntime({ dataDir });
  const subscription = runtime.subscribe({
    name: 'missing',
    thread: 'worker',
    module: pathToFileURL(module).href,
    retry: { attempts: 1 },
  });
  await runtime.ref(Counter, 'a').add(1);
  await until(() => subscription.status().lastError ?? '', Boolean);
  const waiting = subscription.caughtUpTo(runtime.status().written, { timeoutMs: 50 });
  expect((await errorOf(waiting)).message).toMatch(/missing.mjs cannot be loaded/);
  expect(subscription.status()).toMatchObject({ handled: 0, failures: 0, deadLetters: 0 });
  writeFileSync(module, 'export default () => {};');
  await caughtUp(runtime, subscription);
  expect(subscription.status()).toMatchObject({ handled: 1, failures: 0, deadLetters: 0 });
});

test.each([
  ['park', undefined],
  ['park-event', undefined],
  ['park-event', { max: 3 }],
] as const)(
  'after a time-out (%s, batch %o) no second call of an aggregate begins before the first has ended',
  async (onExhausted, batch) => {
    const runtime = await startRuntime();
    const running = new Map<string, number>();
    const beside: string[] = [];
    let calls = 0;
    const call = async (id: string, isSlow: boolean): Promise<void> => {
      calls++;
      const now = (running.get(id) ?? 0) + 1;
      running.set(id, now);
      if (now > 1) beside.push(id);
      if (isSlow) await sleep(60); // minds no signal
      running.set(id, now - 1);
    };
    const subscription = runtime.subscribe({
      name: 'slow',
      timeoutMs: 20,
      breaker: false,
      onExhausted,
      retry: { attempts: 4, minDelayMs: 0, maxDelayMs: 1 },
      ...(batch
        ? {
            batch,
            handle: (events: readonly StoredEvent[]) =>
              call(
                'all',
                events.some(({ version }) => version === 1),
              ),
          }
        : { handle: (event: StoredEvent) => call(event.aggregateId, event.version === 1) }),
    } as never);
    for (let i = 0; i < 3; i++) for (const id of ['a', 'b']) await runtime.ref(Counter, id).add(1);
    await caughtUp(runtime, subscription);
    // Letters that are handled again are calls of the aggregate like any other; so are replays.
    const replayed = runtime.replay({ into: 'slow' });
    await runtime.deadLetters.requeue({ handler: 'slow' });
    await replayed;
    expect(calls).toBeGreaterThan(4);
    expect(beside).toEqual([]);
  },
);

test('a call that never settles costs its aggregate its attempts, and nobody else anything', async () => {
  const runtime = await startRuntime();
  let stuck = 0;
  const heard: string[] = [];
  const subscription = runtime.subscribe({
    name: 'stuck',
    timeoutMs: 20,
    concurrency: 2,
    breaker: false,
    retry: { attempts: 2, minDelayMs: 0 },
    handle(event) {
      if (!event.aggregateId.startsWith('stuck')) return void heard.push(event.aggregateId);
      stuck++;
      return new Promise(() => {});
    },
  });
  for (let i = 0; i < 5; i++) await runtime.ref(Counter, `stuck${i}`).add(1);
  for (let i = 0; i < 50; i++) await runtime.ref(Counter, `fine${i % 10}`).add(1);
  await caughtUp(runtime, subscription);
  expect(heard).toHaveLength(50);
  expect(stuck).toBe(5);
  const letters = await runtime.deadLetters.list();
  expect(letters.map(({ attempts }) => attempts)).toEqual([2, 2, 2, 2, 2]);
  expect(letters[0]!.error?.message).toMatch(/an earlier call of the same aggregate is out of time/);
});

test('a replay into a running handler keeps its effects; rows of projections are not folded twice', async () => {
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir });
  const subscription = runtime.subscribe({
    name: 'sums',
    async handle(event, { tx }) {
      tx.put('sums', event.aggregateId, ((await tx.get<number>('sums', event.aggregateId)) ?? 0) + event.data.amount);
    },
  });
  const rows = runtime.project<{ sum: number }>({
    name: 'rows',
    init: () => ({ sum: 0 }),
    apply: ({ sum }, event: any) => ({ sum: sum + event.data.amount }),
  });
  for (let i = 0; i < 3; i++) for (const id of ['a', 'b']) await runtime.ref(Counter, id).add(1);
  await caughtUp(runtime, subscription);
  await rows.caughtUpTo(runtime.status().written);
  expect(await runtime.replay({ into: 'sums', aggregate: Counter, aggregateId: 'a' })).toMatchObject({
    events: 3,
    failed: 0,
  });
  for (const into of ['projection:rows#1', 'nobody']) {
    const refused = await errorOf(runtime.replay({ into }));
    expect(refused).toMatchObject({ code: 'UnknownSubscription', details: { known: ['sums'] } });
  }
  expect(() => runtime.subscriptions.named('projection:rows#1')).toThrow(/no subscription/);
  expect(await rows.get('a')).toEqual({ sum: 3 });
  await runtime.close();
  const second = await startRuntime({ dataDir });
  expect([await second.effect('sums', 'a'), await second.effect('sums', 'b')]).toEqual([6, 3]);
});

test('a replay that a closing runtime cuts short says so', async () => {
  const runtime = await startRuntime();
  const [begun, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let calls = 0;
  const subscription = runtime.subscribe({
    name: 'slow',
    from: 'now',
    handle() {
      calls++;
      begun.resolve();
      return ended.promise;
    },
  });
  await until(
    () => subscription.status().state,
    (state) => state === 'live',
  );
  await runtime.ref(Counter, 'a').add(1);
  await begun.promise;
  const replayed = errorOf(runtime.replay({ into: 'slow' })); // waits behind the event that is being handled
  const closed = subscription.close();
  ended.resolve();
  await closed;
  expect(await replayed).toMatchObject({ code: 'RuntimeClosed' });
  expect(calls).toBe(1);
});
