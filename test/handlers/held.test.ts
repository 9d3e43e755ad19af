// What pauses between two attempts does not hold up who pauses, resets or stops a subscription, and is not tried again until it
// goes on: the pauses here are far longer than any test.
import { expect, test } from 'vitest';
import type { Runtime, StoredEvent, Subscription } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, startSmall as startRuntime, until } from '../runtime/scratch.ts';

const minDelayMs = 10_000_000;

class Fatal extends Error {}

/** A subscription of whose events `bad` fails, and waits to be tried again; `good` is handled. */
async function failing(
  options: object = {},
): Promise<{ runtime: Runtime; subscription: Subscription; heard: string[]; mend(): void }> {
  const runtime = await startRuntime();
  const heard: string[] = [];
  let isBroken = true;
  const handle = ({ aggregateId, version }: StoredEvent): void => {
    heard.push(`${aggregateId}@${version}`);
    if (aggregateId === 'fatal' && isBroken) throw new Fatal('fatal');
    if (aggregateId === 'bad' && isBroken) throw new Error('bad');
  };
  const { batch } = options as { batch?: object };
  const subscription = runtime.subscribe({
    name: 'failing',
    retry: { attempts: 10, minDelayMs, maxDelayMs: minDelayMs, nonRetryable: [Fatal] },
    ...options,
    handle: batch === undefined ? handle : (events: StoredEvent[]) => events.forEach(handle),
  } as never) as Subscription;
  await runtime.ref(Counter, 'good').add(1);
  await until(
    () => heard.length,
    (count) => count === 1,
  );
  await runtime.ref(Counter, 'bad').add(1);
  await runtime.ref(Counter, 'bad').add(1);
  await until(
    () => subscription.status().failures,
    (failures) => failures === 1,
  );
  const mend = (): void => {
    isBroken = false;
  };
  return { runtime, subscription, heard, mend };
}

const caughtUp = async ({ runtime, subscription }: { runtime: Runtime; subscription: Subscription }): Promise<void> => {
  await runtime.reached('synced');
  await subscription.caughtUpTo(runtime.status().written);
};

test.each([
  ['one at a time', {}],
  ['batches', { batch: { max: 1 } }],
])('pause does not wait for what is to be tried again, and resume takes it anew: %s', async (_, options) => {
  const one = await failing(options);
  await one.subscription.pause();
  expect(one.subscription.status()).toMatchObject({ state: 'paused', inFlight: 0, deadLetters: 0 });
  one.mend();
  await one.subscription.resume();
  await caughtUp(one);
  expect(one.heard).toEqual(['good@1', 'bad@1', 'bad@1', 'bad@2']);
  expect(one.subscription.status()).toMatchObject({ inFlight: 0, lagEvents: 0, deadLetters: 0 });
});

test('reset does not, either', async () => {
  const one = await failing();
  one.mend();
  await one.subscription.reset('start');
  await caughtUp(one);
  expect(one.heard.slice(0, 2)).toEqual(['good@1', 'bad@1']);
  expect(one.heard.slice(2).toSorted()).toEqual(['bad@1', 'bad@2', 'good@1']);
});

test('once it has stopped nothing is tried again, and who waits for it hears why at once', async () => {
  const one = await failing({ onExhausted: 'stop' });
  await one.runtime.ref(Counter, 'fatal').add(1);
  await one.runtime.reached('synced');
  const error = await errorOf(one.subscription.caughtUpTo(one.runtime.status().written));
  expect(error.message).toBe('fatal');
  expect(one.subscription.status().state).toBe('stopped');
  one.mend();
  await one.subscription.resume();
  await caughtUp(one);
  expect(one.heard.slice(0, 3)).toEqual(['good@1', 'bad@1', 'fatal@1']);
  expect(one.heard.slice(3).toSorted()).toEqual(['bad@1', 'bad@2', 'fatal@1']);
});

test('an open circuit does not, and is closed by what comes afterwards', async () => {
  const one = await failing({ retry: { attempts: 10, minDelayMs: 0 }, breaker: { failures: 1, pauseMs: 50 } });
  await one.subscription.pause();
  const calls = one.heard.length;
  one.mend();
  await one.subscription.resume();
  await caughtUp(one);
  expect(one.heard.slice(calls)).toEqual(['bad@1', 'bad@2']);
});

test('what runs may end, and counts', async () => {
  const runtime = await startRuntime();
  const gate = Promise.withResolvers<void>();
  const heard: string[] = [];
  const subscription = runtime.subscribe({
    name: 'slow',
    async handle({ aggregateId, version }) {
      heard.push(`${aggregateId}@${version}`);
      await gate.promise;
    },
  });
  const counter = runtime.ref(Counter, 'a');
  for (let i = 0; i < 3; i++) await counter.add(1);
  await until(
    () => subscription.status().inFlight,
    (count) => count === 3,
  );
  const pausing = subscription.pause();
  gate.resolve();
  await pausing;
  expect(heard).toEqual(['a@1']);
  expect(subscription.status()).toMatchObject({ state: 'paused', handled: 1, lagEvents: 2 });
  await subscription.resume();
  await subscription.caughtUpTo(runtime.status().written);
  expect(heard).toEqual(['a@1', 'a@2', 'a@3']);
});
