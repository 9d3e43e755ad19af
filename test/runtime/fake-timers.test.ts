// A user's test fakes timers and the date: nothing of the library's waits for them.
import { expect, onTestFinished, test, vi } from 'vitest';
import { given } from '../../src/testing.ts';
import { Counter } from './aggregates.ts';
import { errorOf, startRuntime } from './scratch.ts';

const past = new Date('2001-01-01T00:00:00Z');

function fake(): void {
  vi.useFakeTimers({ now: past });
  onTestFinished(() => void vi.useRealTimers());
}

test('commands, deadlines, handlers, their retries and the end of a runtime go by the true clock', async () => {
  const began = Date.now();
  const runtime = await startRuntime();
  fake();
  const counter = runtime.ref(Counter, 'a');
  expect((await counter.add(1)).value).toBe(1);
  expect((await counter.askSlowly('b', 10, 60_000)).value).toEqual({ before: 0, after: 1 });
  expect((await errorOf(counter.with({ deadlineMs: 20 }).addSlowly(1, 200))).code).toBe('DeadlineExceeded');
  const attempts: number[] = [];
  const subscription = runtime.subscribe({
    name: 'twice',
    aggregates: [Counter],
    retry: { attempts: 2, minDelayMs: 20, jitter: false },
    timeoutMs: 20,
    handle: (event, { attempt, signal }) => {
      attempts.push(attempt);
      expect(event.occurredAt.getTime()).toBeGreaterThanOrEqual(began);
      if (attempt === 1) return new Promise((_, reject) => signal.addEventListener('abort', reject, { once: true }));
      return undefined;
    },
  });
  await subscription.caughtUpTo(runtime.status().written);
  expect(new Set(attempts)).toEqual(new Set([1, 2]));
  await runtime.close();
  expect(Date.now()).toBe(past.getTime());
});

test('given() goes by the date that the test sets', () => {
  fake();
  const outcome = given(Counter, [{ type: 'Added', data: { amount: 1 } }])
    .when.add(1)
    .then(['Added']);
  expect(outcome.events[0]!.occurredAt).toEqual(past);
  vi.setSystemTime('2002-01-01');
  expect(given(Counter).when.add(1).then(['Added']).events[0]!.occurredAt.getFullYear()).toBe(2002);
});
