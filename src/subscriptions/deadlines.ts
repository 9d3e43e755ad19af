// When the attempts of one subscription run out of time. Owned by the host thread.
//
// An attempt has two limits, one after the other: `startMs` until its call begins (a thread must load its module, or an
// earlier call of the same aggregate must end), then `timeoutMs` until the call settles. In each of the two sets all have the
// same limit, so the oldest is the next: one timer serves all.
import { clearTimeout, performance, setTimeout } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { guarded } from '../base/guarded.ts';
import type { Attempt } from './attempt.ts';

export class Deadlines {
  private readonly handler: string;
  private readonly startMs: number;
  private readonly timeoutMs: number;
  private readonly starting = new Set<Attempt>();
  private readonly running = new Set<Attempt>();
  private timer: NodeJS.Timeout | undefined;
  /** When it fires. */
  private dueAt = Number.POSITIVE_INFINITY;

  constructor(handler: string, startMs: number, timeoutMs: number) {
    this.handler = handler;
    this.startMs = startMs;
    this.timeoutMs = timeoutMs;
  }

  add(attempt: Attempt): void {
    attempt.deadline = performance.now() + (attempt.hasBegun ? this.timeoutMs : this.startMs);
    (attempt.hasBegun ? this.running : this.starting).add(attempt);
    this.watch();
  }

  /** Its call begins now: so does its time. */
  begun(attempt: Attempt): void {
    if (attempt.hasBegun) return;
    attempt.hasBegun = true;
    if (this.starting.delete(attempt)) this.add(attempt);
  }

  delete(attempt: Attempt): void {
    if (!this.running.delete(attempt)) this.starting.delete(attempt);
  }

  /** All of them, now. */
  expireAll(reason: unknown): void {
    for (const attempts of [this.running, this.starting]) for (const attempt of attempts) attempt.expire(reason);
    clearTimeout(this.timer);
  }

  private watch(): void {
    const first = Math.min(deadlineOf(this.running), deadlineOf(this.starting));
    if (first >= this.dueAt) return;
    clearTimeout(this.timer);
    this.dueAt = first;
    // It outlasts what it was set for, rather than being set for each; it must not outlast the process.
    const inMs = Math.max(1, Math.ceil(first - performance.now()));
    this.timer = setTimeout(
      guarded(() => this.expire()),
      inMs,
    ).unref();
  }

  private expire(): void {
    this.dueAt = Number.POSITIVE_INFINITY;
    const now = performance.now();
    for (const attempts of [this.running, this.starting]) {
      for (const attempt of attempts) {
        if (attempt.deadline > now) break;
        attempts.delete(attempt);
        attempt.expire(this.timedOut(attempt));
      }
    }
    this.watch();
  }

  private timedOut({ hasBegun }: Attempt): TrunklineError {
    const { handler } = this;
    if (hasBegun) return new TrunklineError('HandlerTimedOut', { handler, timeoutMs: this.timeoutMs });
    const message = `handler '${handler}' could not be called within ${this.startMs} ms: its thread did not start, or an earlier call of the same aggregate is out of time and still running; mind the signal`;
    return new TrunklineError('HandlerTimedOut', { handler, timeoutMs: this.startMs }, { message });
  }
}

/** Of the oldest. */
function deadlineOf(attempts: ReadonlySet<Attempt>): number {
  for (const { deadline } of attempts) return deadline;
  return Number.POSITIVE_INFINITY;
}
