// Deliveries to a handler, each tried until it works or may be tried no more. Owned by the host thread.
//
// - A first attempt that returns at once costs a call; everything else is `retried-delivery.ts`.
// - How one attempt is called and timed: `attempt-runner.ts`. Until when something is tried again: `retry-stop.ts`.

import { TrunklineError } from '../base/errors.ts';
import { isThenable } from '../base/thenable.ts';
import type { Subject } from './attempt.ts';
import { type AttemptParts, AttemptRunner, type AttemptSettings } from './attempt-runner.ts';
import type { Breaker } from './breaker.ts';
import type { HandlerCode, HandlerFn } from './handler-code.ts';
import type { Outcome } from './outcome.ts';
import { RetriedDelivery, type RetryParts } from './retried-delivery.ts';
import { RetryStop } from './retry-stop.ts';
import type { SubscriptionSettings } from './settings.ts';
import type { Slots } from './slots.ts';

/** How often what a replay reads may change under it. */
const conflictLimit = 100;

/** What the runner shares with the rest of its subscription. */
interface RunnerParts extends Omit<AttemptParts, 'unready'> {
  readonly events: { runtimeHasFailed(): boolean; unready(error: unknown): void };
}

export class DeliveryRunner {
  private readonly name: string;
  private readonly breaker: Breaker;
  private readonly slots: Slots;
  private readonly attempts: AttemptRunner;
  private readonly stop: RetryStop;
  private readonly retryParts: RetryParts;

  constructor(settings: AttemptSettings & Pick<SubscriptionSettings, 'retry'>, call: HandlerFn, parts: RunnerParts) {
    const { breaker, slots, events } = parts;
    this.name = settings.name;
    this.breaker = breaker;
    this.slots = slots;
    this.attempts = new AttemptRunner(settings, call, { ...parts, unready: (error) => events.unready(error) });
    this.stop = new RetryStop(breaker);
    this.retryParts = {
      retry: settings.retry,
      attempts: this.attempts,
      breaker,
      slots,
      stop: this.stop,
      runtimeHasFailed: () => events.runtimeHasFailed(),
    };
  }

  get code(): HandlerCode {
    return this.attempts.code;
  }

  get failures(): number {
    return this.attempts.failures;
  }

  get lastError(): unknown {
    return this.attempts.lastError;
  }

  /**
   * The first attempt, in a slot that the caller holds. `true`: done at once, and nothing else is to be reported. Else what it came
   * to, retries included; the slot has been given back. `done` is called with the effects staged, in the same turn. `isAsked`: a
   * user's request, which only the end of the handler ends.
   */
  begin(subject: Subject, done: () => void, isAsked = false): true | Promise<Outcome> {
    const attempt = this.attempts.make(subject, 1);
    let result: unknown;
    try {
      result = this.attempts.invoke(subject, attempt, isAsked);
      if (!isThenable(result) && attempt.usedEffects === undefined && this.breaker.isQuiet) {
        this.slots.free();
        return true;
      }
    } catch (error) {
      result = Promise.reject(error);
    }
    return new RetriedDelivery(this.retryParts, { subject, done, isAsked }).goOn(attempt, result);
  }

  /** Aborts when nothing is retried any more. */
  get stopped(): AbortSignal {
    return this.stop.ended;
  }

  /** All attempts, first to last; takes slots by itself. `mayBegin` is asked when there is one, and never rejects. */
  async run(
    subject: Subject,
    done: () => void,
    mayBegin: () => boolean | Promise<boolean> = () => true,
    isAsked = false,
  ): Promise<Outcome> {
    const stop = this.stop.signal(isAsked);
    await this.slots.take();
    const isLet = await this.breaker.pass(stop);
    const may = isLet && !stop.aborted && mayBegin();
    if (!(typeof may === 'boolean' ? may : await may)) {
      if (isLet) this.breaker.skipped();
      this.slots.free();
      return { kind: 'abandoned' };
    }
    const outcome = this.begin(subject, done, isAsked);
    if (outcome !== true) return outcome;
    done();
    return { kind: 'done' };
  }

  /** One attempt beside the checkpoint, never tried again. A dry run's effects are thrown away, a replay's are kept. */
  async single(subject: Subject, kind: 'dry run' | 'replay'): Promise<Outcome> {
    for (let i = 0; i < conflictLimit; i++) {
      await this.slots.take();
      const attempt = this.attempts.make(subject, 1, kind);
      let result: unknown;
      try {
        this.stop.ended.throwIfAborted();
        result = this.attempts.tryInvoke(subject, attempt, true);
        await this.attempts.settled(subject, attempt, result);
        if (kind === 'dry run' || (await attempt.usedEffects?.commit())) return { kind: 'done' };
        if (attempt.usedEffects?.stage() !== false) return { kind: 'done' };
      } catch (error) {
        if (this.stop.ended.aborted) return { kind: 'abandoned' };
        return { kind: 'failed', error: error ?? new Error(`the handler rejected with ${error}`), attempts: 1 };
      } finally {
        this.attempts.leave(result);
        attempt.usedEffects?.close();
      }
    }
    const cause = 'what it read went on changing under it';
    const error = new TrunklineError('HandlerFailed', { handler: this.name, cause });
    return { kind: 'failed', error, attempts: 1 };
  }

  /** Wait no longer: abort what runs, retry nothing. */
  abort(): void {
    this.stop.end();
    this.attempts.expireAll(this.stop.ended.reason);
  }

  /** Retry nothing from now on; what pauses is abandoned, what runs may end. */
  stopRetrying(): void {
    this.stop.end();
  }

  /** What waits to be tried again now is abandoned, what runs may end, and is not tried again; but not what users have asked for. */
  hold(): void {
    this.stop.hold();
  }
}
