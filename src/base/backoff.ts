// Pauses between tries, none shorter than the one before, up to a bound. No other file computes one: test/backoff.test.ts. Any
// thread.
import { random as fraction } from './random.ts';

export interface Backoff {
  /** After the first failure, milliseconds. */
  readonly minMs: number;
  readonly maxMs: number;
  /** How many times as long as the one before each pause is, at least 1; default 2. */
  readonly factor?: number | undefined;
}

/** How long to wait after so many failures in a row, 1 or more, milliseconds: from 0 to `maxMs`, however many there were. */
export function backoffMs(failures: number, { minMs, maxMs, factor = 2 }: Backoff): number {
  if (minMs === 0) return 0; // the factor grows to Infinity, and 0 × Infinity is no number
  return Math.min(minMs * factor ** Math.max(0, failures - 1), maxMs);
}

/** At least half of the pause, at random: what failed together does not come back together. */
export const jittered = (ms: number, random: () => number = fraction): number => ms * (0.5 + random() / 2);

/** Up to twice as long, at random, for a pause that must not be shorter than it was asked for. */
export const stretched = (ms: number, random: () => number = fraction): number => ms * (1 + random());
