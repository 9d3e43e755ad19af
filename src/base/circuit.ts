// A circuit breaker: open after so many failures in a row; then, after a pause, one call is let through, whose outcome
// decides for all. Its pause is a duration, by the monotonic clock: the libraries that do this go by the date, and a date that
// is set back would keep a circuit open for as long. Any thread; no timers.
import { performance } from './clock.ts';

export class Circuit {
  private readonly failuresToOpen: number;
  private readonly pauseMs: number;
  private now: 'closed' | 'open' | 'probing' = 'closed';
  private failures = 0;
  private openedAtMs = 0;

  constructor(failuresToOpen: number, pauseMs: number) {
    this.failuresToOpen = failuresToOpen;
    this.pauseMs = pauseMs;
  }

  get state(): 'closed' | 'open' | 'probing' {
    return this.now;
  }

  /** A call that began while the circuit was closed has ended. */
  ended(hasFailed: boolean): void {
    this.failures = hasFailed ? this.failures + 1 : 0;
    if (this.failures >= this.failuresToOpen && this.now === 'closed') this.open();
  }

  /** Whether the pause is over, and the caller is to try; `decide` must follow. */
  probe(): boolean {
    if (this.now !== 'open' || performance.now() - this.openedAtMs < this.pauseMs) return false;
    this.now = 'probing';
    return true;
  }

  /** What the probe came to. */
  decide(hasFailed: boolean): void {
    if (hasFailed) return this.open();
    this.now = 'closed';
    this.failures = 0;
  }

  private open(): void {
    this.now = 'open';
    this.openedAtMs = performance.now();
  }
}
