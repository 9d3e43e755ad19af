// One delivery that is tried again until it works or may be tried no more. Owned by the host thread.
//
// - A slot is held by an attempt, not by the pause after it: one event that is retried holds up no other.
// - While the circuit is open no attempt is made: the event waits.
// - Attempts that fail because the store is unavailable are not counted: they wait. If the store answers when it is asked, what failed
//   was the handler's own doing (a transaction that the server has ended, say): that is forgiven a few times, then counted;
//   unless no statement of the handler's own has been executed.
// - Once the runtime has failed, no failure says anything about the handler: the next start delivers again.

import pRetry from 'p-retry';
import { pauseUnless } from '../base/on-abort.ts';
import { storeBackoffMs } from '../handler-state/store-backoff.ts';
import type { Attempt, Subject } from './attempt.ts';
import type { AttemptRunner, Result } from './attempt-runner.ts';
import type { Breaker } from './breaker.ts';
import type { Outcome } from './outcome.ts';
import { failureOf, isRetried, retryDelayMs } from './retried.ts';
import type { RetryStop } from './retry-stop.ts';
import type { SubscriptionSettings } from './settings.ts';
import type { Slots } from './slots.ts';

/** How often running an event may fail as if the store were unavailable, while it is not, before that counts. */
const forgiven = 5;

/** What all deliveries of one handler share. */
export interface RetryParts {
  readonly retry: SubscriptionSettings['retry'];
  readonly attempts: AttemptRunner;
  readonly breaker: Breaker;
  readonly slots: Slots;
  readonly stop: RetryStop;
  runtimeHasFailed(): boolean;
}

/** What is delivered, and for whom. */
export interface Delivered {
  readonly subject: Subject;
  /** Called with the effects staged, in the same turn. */
  readonly done: () => void;
  /** A user's request, which nothing but the end of the handler ends. */
  readonly isAsked: boolean;
}

export class RetriedDelivery {
  private readonly parts: RetryParts;
  private readonly delivered: Delivered;
  /** Ends its retries. */
  private readonly signal: AbortSignal;
  /** Attempts that count. */
  private made = 0;
  /** What the last attempt came to; undefined: it has failed, or none has ended yet. */
  private last: Result | undefined;
  /** Of the last attempt that has failed. */
  private error: unknown;
  /** Attempts in a row that the store kept from counting. */
  private misses = 0;
  /** How often the store answered although an attempt had failed as if it were unavailable. */
  private strikes = 0;
  private mayRetry = true;

  constructor(parts: RetryParts, delivered: Delivered) {
    this.parts = parts;
    this.delivered = delivered;
    this.signal = parts.stop.signal(delivered.isAsked);
  }

  /** `first` has been called in a slot, and has returned `result`. Resolves with what it came to, retries included. */
  async goOn(first: Attempt, result: unknown): Promise<Outcome> {
    const { attempts, stop } = this.parts;
    let hasFailed = false;
    try {
      this.last = await attempts.settle(this.delivered.subject, first, result, this.delivered.done);
      if (this.last === 'done') return { kind: 'done' };
    } catch (thrown) {
      this.made = 1;
      this.error = errorOf(thrown);
      hasFailed = true;
    } finally {
      attempts.leave(result);
    }
    if (!this.signal.aborted || stop.ended.aborted) return this.retry(hasFailed);
    if (hasFailed) attempts.failed(this.error);
    return { kind: 'abandoned' };
  }

  /** `hasFailed`: the first attempt, which counts as the first try. */
  private async retry(hasFailed: boolean): Promise<Outcome> {
    const { signal, parts } = this;
    let isFirst = hasFailed;
    const once = async (): Promise<void> => {
      try {
        if (isFirst) throw this.error;
        await this.untilItCounts();
      } catch (thrown) {
        throw this.failureBy(thrown);
      } finally {
        isFirst = false;
      }
    };
    try {
      await pRetry(once, {
        retries: parts.retry.attempts - 1,
        minTimeout: 0, // it pauses by whatever timers there are: the pause is ours
        maxTimeout: 0,
        maxRetryTime: Number.POSITIVE_INFINITY,
        signal,
        shouldConsumeRetry: () => true,
        shouldRetry: () => !signal.aborted && this.mayRetry,
        onFailedAttempt: ({ retriesLeft, retriesConsumed }) => this.pause(retriesLeft, retriesConsumed),
      });
      return { kind: 'done' };
    } catch {
      if (signal.aborted) return { kind: 'abandoned' };
      return { kind: 'failed', error: this.error, attempts: this.made };
    }
  }

  /** As what the library that tries again is handed it. */
  private failureBy(thrown: unknown): unknown {
    const { parts, signal } = this;
    if (parts.runtimeHasFailed()) parts.stop.end();
    if (parts.stop.ended.aborted || (signal.aborted && thrown === signal.reason)) return thrown;
    this.error = errorOf(thrown);
    parts.attempts.failed(this.error);
    return failureOf(this.error);
  }

  private async pause(retriesLeft: number, retriesConsumed: number): Promise<void> {
    const { retry } = this.parts;
    this.mayRetry = retriesLeft > 0 && isRetried(retry, this.delivered.subject, this.error);
    if (!this.mayRetry || this.signal.aborted) return;
    await pauseUnless(this.signal, retryDelayMs(retry, retriesConsumed));
  }

  /** Attempts until one has gone well; throws what the first that counts has failed by. */
  private async untilItCounts(): Promise<void> {
    while (this.last !== 'done') {
      if (this.last === undefined || this.last === 'again') this.misses = 0;
      else await this.waitForStore(this.last);
      await this.attempt();
    }
  }

  /** @throws what the attempt has failed by, once that counts */
  private async waitForStore(last: 'away' | 'held'): Promise<void> {
    const { attempts } = this.parts;
    await pauseUnless(this.signal, storeBackoffMs(++this.misses));
    this.signal.throwIfAborted();
    if (last === 'held' || !(await attempts.storeAnswers()) || ++this.strikes <= forgiven) return;
    this.made++;
    this.last = undefined;
    throw attempts.lastError;
  }

  /** One more, in a slot of its own. */
  private async attempt(): Promise<void> {
    const { attempts, breaker, slots } = this.parts;
    const { subject, done, isAsked } = this.delivered;
    await slots.take();
    let result: unknown;
    let isLet = false;
    try {
      isLet = await breaker.pass(this.signal);
      this.signal.throwIfAborted();
      const attempt = attempts.make(subject, this.made + 1);
      isLet = false;
      result = attempts.tryInvoke(subject, attempt, isAsked);
      this.made++;
      this.last = undefined;
      this.last = await attempts.settle(subject, attempt, result, done);
      if (this.last !== 'done') this.made--;
    } finally {
      if (isLet) breaker.skipped();
      attempts.leave(result);
    }
  }
}

const errorOf = (thrown: unknown): unknown => thrown ?? new Error(`the handler rejected with ${thrown}`);
