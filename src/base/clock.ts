// Time, and what waits for it. A duration or a deadline is measured by the monotonic clock, which goes on whatever happens
// to the machine's date. The date is for what people and other systems read; test/clocks.test.ts holds the list of the places
// that may look at it.
//
// Every timer and clock of src comes from here: as Node has them when this file is loaded. A test of a user's that fakes
// timers or the date afterwards moves its own code only; a deadline of ours that shards measure, too, must not stand still on
// one side.
import { setImmediate as immediatePromise, setTimeout as timeoutPromise } from 'node:timers/promises';

/** Node makes 1 ms of what is longer: a sum of two allowed times must not end at once. It ends after 24 days instead. */
const timerMostMs = 2 ** 31 - 1;
const bounded = (ms: number | undefined): number | undefined => (ms === undefined ? ms : Math.min(ms, timerMostMs));
const timeout = globalThis.setTimeout;

export const setTimeout = ((work: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) =>
  timeout(work, bounded(ms), ...args)) as typeof globalThis.setTimeout;
export const clearTimeout: typeof globalThis.clearTimeout = globalThis.clearTimeout;
export const setInterval: typeof globalThis.setInterval = globalThis.setInterval;
export const clearInterval: typeof globalThis.clearInterval = globalThis.clearInterval;

/** Resolves after so many milliseconds. One that a signal cuts short is `pauseUnless` (on-abort.ts). */
export const pause = <T = void>(ms: number, value?: T, options?: { readonly ref?: boolean }): Promise<T> =>
  timeoutPromise(bounded(ms), value, options) as Promise<T>;

/** Resolves once the event loop has served what waits for it. */
export const yieldToLoop: typeof immediatePromise = immediatePromise;

/** This thread's monotonic clock: milliseconds. */
export const performance: { now(): number } = { now: globalThis.performance.now.bind(globalThis.performance) };

/** The date: milliseconds since 1970. */
export const dateMs: () => number = Date.now;

/**
 * Milliseconds of the machine's monotonic clock: the same in all threads of a process. (`performance.now()` begins again in
 * each thread, so a deadline in shared memory would mean something else to its reader.)
 */
export const monotonicMs = (): number => performance.now() + threadBegan;

const threadBegan = beganAt();

/**
 * Two clocks cannot be read at once: a thread that is put aside between the two readings would be wrong by that time for all
 * of its life. Of several looks the one counts whose readings lie closest.
 */
function beganAt(): number {
  let [found, closestMs] = [0, Number.POSITIVE_INFINITY];
  for (let look = 0; look < 10; look++) {
    const before = performance.now();
    const machineMs = Number(process.hrtime.bigint()) / 1e6;
    const apartMs = performance.now() - before;
    if (apartMs < closestMs) [found, closestMs] = [machineMs - before, apartMs];
  }
  return found;
}
