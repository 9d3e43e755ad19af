// Loaded before a program, in each of its threads: a wall clock that leaps. `Date.now()`, `new Date()` and `Date()` are ahead
// of the machine's by an offset that all threads share; the monotonic clock and timers are as they were. The program itself
// imports this file, too, and makes the clock leap. Its first offset, milliseconds: TRUNKLINE_CLOCK_AHEAD_MS.
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';

const key = 'trunkline: leaping clock';
const name = Symbol.for(key);
const realNow = Date.now;
const shared = globalThis as { [name]?: Float64Array };
shared[name] ??= new Float64Array(sharedBuffer());
const offset = shared[name];

function sharedBuffer(): SharedArrayBuffer {
  const known = getEnvironmentData(key);
  if (known instanceof SharedArrayBuffer) return known;
  const buffer = new SharedArrayBuffer(8);
  new Float64Array(buffer)[0] = Number(process.env.TRUNKLINE_CLOCK_AHEAD_MS ?? 0);
  // Each worker thread gets it, and so do those that a worker starts.
  setEnvironmentData(key, buffer as unknown as Parameters<typeof setEnvironmentData>[1]);
  return buffer;
}

const leapingNow = (): number => realNow() + offset[0]!;
const RealDate = Date;
Date.now = leapingNow;
globalThis.Date = new Proxy(RealDate, {
  construct: (target, input, maker) => Reflect.construct(target, input.length === 0 ? [leapingNow()] : input, maker),
  apply: () => new RealDate(leapingNow()).toString(),
});

/** From now on all threads of this process are so far ahead of the machine's clock; less than 0: behind it. */
export function leapTo(aheadMs: number): void {
  offset[0] = aheadMs;
}
