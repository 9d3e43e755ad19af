// Where a subscription reads: a page is handed over and passed in one go, and not at all once it goes on from elsewhere.
import { expect, test } from 'vitest';
import type { StoredEvent } from '../../src/model/event.ts';
import type { PageReader } from '../../src/store/history.ts';
import { HistoryPlace } from '../../src/subscriptions/history-place.ts';

/** Events 1 to `last`, all in one page. */
const reader = (last: number): PageReader => ({
  page(from) {
    const positions = Array.from({ length: last - from + 1 }, (_, i) => from + i);
    return { events: positions.map((position) => ({ position }) as StoredEvent), next: last + 1 };
  },
});

/** What one page hands over; a user's reset ends in the microtasks behind the event at `resetAt`, whose handler takes `busyMs`. */
async function handedOver(last: number, resetAt: number, busyMs = 0): Promise<string[]> {
  const calls: string[] = [];
  const place: HistoryPlace = new HistoryPlace(() => reader(last), {
    mayTake: () => true,
    take({ position }) {
      place.took(position);
      calls.push(`take ${position}`);
      if (position !== resetAt) return;
      for (const began = performance.now(); performance.now() - began < busyMs; );
      queueMicrotask(() => {
        calls.push('reset');
        place.goOnBehind(0);
      });
    },
    passed(position) {
      place.passed(position);
      calls.push(`passed ${position}`);
    },
  });
  place.goOnBehind(0);
  await place.page(last);
  expect(place.next).toBe(calls.includes('reset') ? 1 : last + 1);
  return calls;
}

test('the end of a page is passed in the turn of its last event', async () => {
  expect(await handedOver(3, 0)).toEqual(['take 1', 'take 2', 'take 3', 'passed 3']);
  expect(await handedOver(3, 3)).toEqual(['take 1', 'take 2', 'take 3', 'passed 3', 'reset']);
});

test('a reset in the pause behind an event ends the page: nothing more of it is handed over or passed', async () => {
  // Handlers have the turn until a slice of time has gone: the pause comes behind the 16th event.
  for (const last of [16, 20]) {
    const calls = await handedOver(last, 16, 10);
    expect(calls.slice(-2)).toEqual(['take 16', 'reset']);
  }
});
