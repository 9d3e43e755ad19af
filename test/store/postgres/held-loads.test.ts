// The tries of loads whose heads others have locked, by a clock of the test's own: how often, for how long, and until when.
import { beforeEach, expect, test } from 'vitest';
import { HeldLoads, longTryMs, shortTryMs } from '../../../src/adapters/postgres/read/held-loads.ts';

const queueMs = 7;
let now: number;
let pausedMs: number;
let triedMs: number;
let tries: { name: string; lockMs: number; at: number; ended: number; pausedMs: number }[];
let loads: HeldLoads;

beforeEach(() => {
  [now, pausedMs, triedMs, tries] = [0, 0, 0, []];
  loads = new HeldLoads({
    now: () => now,
    pause: async (ms) => {
      now += ms;
      pausedMs += ms;
    },
  });
});

/** `freeAt`: from when on nobody has its lock. A try costs trips to the server beside the wait. */
function load(name: string, end: number, freeAt = Number.POSITIVE_INFINITY, tripsMs = 3): Promise<string> {
  const attempt = async (lockMs: number, begun: () => void): Promise<string> => {
    now += queueMs; // it waits for the connection
    begun();
    const tookMs = tripsMs + Math.min(lockMs, Math.max(0, freeAt - now));
    tries.push({ name, lockMs, at: now, ended: now + tookMs, pausedMs });
    now += tookMs;
    if (freeAt <= now) return name;
    triedMs += tookMs;
    return 'held';
  };
  return loads.wait(attempt, end);
}
const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `load ${i}`);
const longOf = (name: string): number => tries.filter((t) => t.name === name && t.lockMs > shortTryMs).length;

test.each([
  [1, 3],
  [2, 3],
  [5, 3],
  [25, 3],
  [5, 100],
])(
  '%i loads whose tries take %i ms beside the wait leave half of the time, and all make long tries',
  async (count, tripsMs) => {
    const held = names(count).map((name) => load(name, 60_000, undefined, tripsMs));
    expect(new Set(await Promise.all(held))).toEqual(new Set(['held']));
    const last = count * (shortTryMs + tripsMs); // the last tries: none pauses behind its end
    expect(pausedMs).toBeGreaterThanOrEqual(triedMs - last - longTryMs - 50);
    expect(pausedMs).toBeLessThan(triedMs * 1.5);
    const long = names(count).map(longOf);
    expect(Math.min(...long)).toBeGreaterThanOrEqual(2);
    expect(Math.max(...long) - Math.min(...long)).toBeLessThanOrEqual(1);
  },
);

test('a load gives up at its end, after a last try, however long the pause would be', async () => {
  const others = names(4).map((name) => load(name, 20_000, undefined, 100));
  for (let end = 1_000; end < 10_000; end += 333) {
    expect(await load('short', end, undefined, 100)).toBe('held');
    const [before, last] = tries.slice(-2);
    // At its end, or as soon as the try of another has ended that had begun before.
    expect(last).toMatchObject({ name: 'short', at: Math.max(end, before!.ended) + queueMs });
  }
  expect(await Promise.all(others)).toEqual(Array(4).fill('held'));
});

test('where one gets its lock, the others try at once', async () => {
  const held = names(20).map((name) => load(name, 60_000, 5_000));
  await load('stuck', 60_000);
  expect(await Promise.all(held)).toEqual(names(20));
  const first = tries.findIndex(({ name, at, lockMs }) => name !== 'stuck' && at + lockMs >= 5_000);
  const behind = tries.slice(first).filter(({ at }) => at < 6_000);
  const got = behind.findLastIndex(({ name }) => name !== 'stuck');
  // The one that cannot have its lock is tried once among them, if at all, and owes a pause then.
  const pauses = behind.slice(0, got + 1).filter((t, i) => i > 0 && t.pausedMs > behind[i - 1]!.pausedMs);
  expect([got >= 19, pauses.length <= 1]).toEqual([true, true]);
});

test('an error ends its own load alone', async () => {
  const error = new Error('the server has gone');
  const held = load('other', 1_000);
  await expect(loads.wait(() => Promise.reject(error), 1_000)).rejects.toBe(error);
  expect(await held).toBe('held');
});
