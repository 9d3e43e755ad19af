// One delivery to a handler, tried until it works or may be tried no more. Owned by the host thread.
//
// - A first attempt that returns at once costs a call; everything else is p-retry's.
// - A slot is held by an attempt, not by the pause after it: one event that is retried holds up no other.
// - Attempts that fail while the circuit is open are not made: they wait.
// - Attempts that fail because the store is unavailable are not counted: they wait. If the store answers when it is asked, what failed
//   was the handler's own doing (a transaction that the server has ended, say): that is forgiven a few times, then counted;
//   unless no statement of the handler's own has been executed.
// - Once the runtime has failed, no failure says anything about the handler: the next start delivers again.
// - An attempt out of time has its signal aborted and is waited for no longer. It may go on by itself; what it puts into its
//   transaction afterwards is thrown away, and the next call of its aggregate waits for its end.

import pRetry from 'p-retry';
import { TrunklineError } from '../base/errors.ts';
import { pauseUnless } from '../base/on-abort.ts';
import { isStoreAway } from '../base/store-away.ts';
import { isThenable } from '../base/thenable.ts';
import { aggregateKey } from '../dead-letters/letters.ts';
import { checkpointTable } from '../handler-state/checkpoint.ts';
import { PROJECTION_PREFIX } from '../handler-state/handler-name.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import { storeBackoffMs } from '../handler-state/store-backoff.ts';
import { Attempt, type Subject } from './attempt.ts';
import type { Breaker } from './breaker.ts';
import { Deadlines } from './deadlines.ts';
import { HandlerCode, type HandlerFn } from './handler-code.ts';
import { OverdueCalls } from './overdue.ts';
import { failureOf, isRetried, isTooLarge, retryDelayMs } from './retried.ts';
import type { SubscriptionSettings } from './settings.ts';
import type { Slots } from './slots.ts';

export type Outcome =
  | { kind: 'done' }
  | { kind: 'failed'; error: unknown; attempts: number }
  /** The runtime waits no longer. */
  | { kind: 'abandoned' };

/** `again`: what it read has changed meanwhile. `away`: so is the store. `held`: so it is, whatever it answers. None counts. */
type Result = 'done' | 'again' | 'away' | 'held';

type AttemptSettings = Pick<SubscriptionSettings, 'name' | 'retry' | 'timeoutMs' | 'module' | 'moduleMs'>;

/** How often running an event may fail as if the store were unavailable, while it is not, before that counts. */
const forgiven = 5;
/** How often what a replay reads may change under it. */
const conflictLimit = 100;

/** What the runner shares with the rest of its subscription. */
interface RunnerParts {
  readonly state: StateTables;
  readonly breaker: Breaker;
  readonly slots: Slots;
  readonly events: { runtimeHasFailed(): boolean };
}

export class DeliveryRunner {
  private readonly settings: AttemptSettings;
  private readonly handlerState: StateTables;
  private readonly breaker: Breaker;
  private readonly slots: Slots;
  private readonly runtimeHasFailed: () => boolean;
  private readonly ending = new AbortController();
  /** Ends retries, too; made again each time it has. */
  private holding = new AbortController();
  private readonly deadlines: Deadlines;
  private readonly overdue = new OverdueCalls();
  readonly code: HandlerCode;
  /** The handler is in threads of its own: a thread is free when its call has ended, whatever became of the attempt. */
  private readonly isElsewhere: boolean;
  failures = 0;
  lastError: unknown;

  constructor(settings: AttemptSettings, call: HandlerFn, parts: RunnerParts) {
    this.settings = settings;
    this.handlerState = parts.state;
    this.breaker = parts.breaker;
    this.slots = parts.slots;
    this.runtimeHasFailed = () => parts.events.runtimeHasFailed();
    this.isElsewhere = settings.module !== undefined;
    this.code = new HandlerCode(settings.name, call, this.isElsewhere || settings.name.startsWith(PROJECTION_PREFIX));
    const startMs = this.isElsewhere ? Math.max(settings.moduleMs ?? 0, settings.timeoutMs) : settings.timeoutMs;
    this.deadlines = new Deadlines(settings.name, startMs, settings.timeoutMs);
  }

  /**
   * The first attempt, in a slot that the caller holds. `true`: done at once, and nothing else is to be reported.
   * `isAsked`: a user's request, which nothing but the end of the handler ends. Else what it
   * came to, retries included; the slot has been given back. `done` is called with the effects staged, in the same turn.
   */
  begin(subject: Subject, eventId: string, done: () => void, isAsked = false): true | Promise<Outcome> {
    const attempt = this.attempt(subject, eventId, 1);
    let result: unknown;
    try {
      result = this.invoke(subject, attempt, isAsked);
      if (!isThenable(result) && attempt.usedEffects === undefined && this.breaker.isQuiet) {
        this.slots.free();
        return true;
      }
    } catch (error) {
      result = Promise.reject(error);
    }
    return this.goOn(subject, eventId, attempt, result, done, this.stopOf(isAsked));
  }

  /** Aborts when nothing is retried any more. */
  get stopped(): AbortSignal {
    return this.ending.signal;
  }

  /** All attempts, first to last; takes slots by itself. `mayBegin` is asked when there is one, and never rejects. */
  async run(
    subject: Subject,
    eventId: string,
    done: () => void,
    mayBegin: () => boolean | Promise<boolean> = () => true,
    isAsked = false,
  ): Promise<Outcome> {
    const stop = this.stopOf(isAsked);
    await this.slots.take();
    const isLet = await this.breaker.pass(stop);
    const may = isLet && !stop.aborted && mayBegin();
    if (!(typeof may === 'boolean' ? may : await may)) {
      if (isLet) this.breaker.skipped();
      this.slots.free();
      return { kind: 'abandoned' };
    }
    const outcome = this.begin(subject, eventId, done, isAsked);
    if (outcome !== true) return outcome;
    done();
    return { kind: 'done' };
  }

  /** One attempt beside the checkpoint, never tried again. A dry run's effects are thrown away, a replay's are kept. */
  async single(subject: Subject, eventId: string, kind: 'dry run' | 'replay'): Promise<Outcome> {
    for (let i = 0; i < conflictLimit; i++) {
      await this.slots.take();
      const attempt = this.attempt(undefined, eventId, 1, kind === 'dry run');
      let result: unknown;
      try {
        this.ending.signal.throwIfAborted();
        result = this.tryInvoke(subject, attempt, true);
        await this.settled(subject, attempt, result);
        if (kind === 'dry run' || (await attempt.usedEffects?.commit())) return { kind: 'done' };
        if (attempt.usedEffects?.stage() !== false) return { kind: 'done' };
      } catch (error) {
        if (this.ending.signal.aborted) return { kind: 'abandoned' };
        return { kind: 'failed', error: error ?? new Error(`the handler rejected with ${error}`), attempts: 1 };
      } finally {
        this.leave(result);
        attempt.usedEffects?.close();
      }
    }
    const cause = 'what it read went on changing under it';
    const error = new TrunklineError('HandlerFailed', { handler: this.settings.name, cause });
    return { kind: 'failed', error, attempts: 1 };
  }

  /** Wait no longer: abort what runs, retry nothing. */
  abort(): void {
    this.stopRetrying();
    this.deadlines.expireAll(this.ending.signal.reason);
  }

  /** Retry nothing from now on; what pauses is abandoned, what runs may end. */
  stopRetrying(): void {
    this.ending.abort(new TrunklineError('RuntimeClosed', { state: 'closing' }));
    this.holding.abort(this.ending.signal.reason);
    this.breaker.close();
  }

  /** What waits to be tried again now is abandoned, what runs may end, and is not tried again; but not what users have asked for. */
  hold(): void {
    this.holding.abort(new TrunklineError('RuntimeClosed', { state: 'closing' }));
    if (!this.ending.signal.aborted) this.holding = new AbortController();
  }

  private stopOf(isAsked: boolean): AbortSignal {
    return (isAsked ? this.ending : this.holding).signal;
  }

  private attempt(subject: Subject | undefined, eventId: string, number: number, dryRun = false): Attempt {
    const attempt = new Attempt(this.settings, this.handlerState, { eventId, attempt: number, subject, dryRun });
    if (this.isElsewhere) this.beginsLater(attempt);
    return attempt;
  }

  private beginsLater(attempt: Attempt): void {
    attempt.hasBegun = false;
    attempt.begun = () => this.deadlines.begun(attempt);
  }

  /** Give the slot back. */
  private leave(result: unknown): void {
    const free = (): void => this.slots.free();
    if (this.isElsewhere && isThenable(result)) result.then(free, free);
    else free();
  }

  // In one function: the first call and its retries share these counters and what the last call came to.
  private async goOn(
    subject: Subject,
    eventId: string,
    first: Attempt,
    result: unknown,
    done: () => void,
    stop: AbortSignal,
  ): Promise<Outcome> {
    let made = 1;
    let error: unknown;
    let misses = 0;
    let strikes = 0;
    let last: Result | undefined;
    try {
      last = await this.settle(subject, first, result, done);
      if (last === 'done') return { kind: 'done' };
      made--;
    } catch (thrown) {
      error = thrown ?? new Error(`the handler rejected with ${thrown}`);
    } finally {
      this.leave(result);
    }
    let hasFailed = error !== undefined;
    const again = async (): Promise<void> => {
      if (hasFailed) {
        hasFailed = false;
        throw error;
      }
      while (last !== 'done') {
        if (last !== undefined && last !== 'again') {
          await pauseUnless(stop, storeBackoffMs(++misses));
          stop.throwIfAborted();
          if (last === 'away' && (await this.storeAnswers()) && ++strikes > forgiven) {
            made++;
            last = undefined;
            throw this.lastError;
          }
        } else misses = 0;
        await this.slots.take();
        let outcome: unknown;
        let isLet = false;
        try {
          isLet = await this.breaker.pass(stop);
          stop.throwIfAborted();
          const attempt = this.attempt(subject, eventId, made + 1);
          isLet = false;
          outcome = this.tryInvoke(subject, attempt, stop === this.ending.signal);
          made++;
          last = undefined;
          last = await this.settle(subject, attempt, outcome, done);
          if (last !== 'done') made--;
        } finally {
          if (isLet) this.breaker.skipped();
          this.leave(outcome);
        }
      }
    };
    const { retry } = this.settings;
    if (stop.aborted && !this.ending.signal.aborted) {
      if (hasFailed) this.failed(error);
      return { kind: 'abandoned' };
    }
    let isLeft = true;
    try {
      await pRetry(
        () =>
          again().catch(async (thrown) => {
            if (this.runtimeHasFailed()) this.stopRetrying();
            if (this.ending.signal.aborted || (stop.aborted && thrown === stop.reason)) throw thrown;
            error = thrown ?? new Error(`the handler rejected with ${thrown}`);
            this.failed(error);
            throw failureOf(error);
          }),
        {
          retries: retry.attempts - 1,
          minTimeout: 0, // it pauses by whatever timers there are: the pause is ours
          maxTimeout: 0,
          maxRetryTime: Number.POSITIVE_INFINITY,
          signal: stop,
          shouldConsumeRetry: () => true,
          shouldRetry: () => !stop.aborted && isLeft,
          onFailedAttempt: async ({ retriesLeft, retriesConsumed }) => {
            isLeft = retriesLeft > 0 && isRetried(retry, subject, error);
            if (!isLeft || stop.aborted) return;
            await pauseUnless(stop, retryDelayMs(retry, retriesConsumed));
          },
        },
      );
      return { kind: 'done' };
    } catch {
      if (stop.aborted) return { kind: 'abandoned' };
      return { kind: 'failed', error, attempts: made };
    }
  }

  private failed(error: unknown): void {
    this.failures++;
    this.lastError = error;
    this.breaker.failed();
  }

  private tryInvoke(subject: Subject, attempt: Attempt, isAsked: boolean): unknown {
    try {
      return this.invoke(subject, attempt, isAsked);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Call the handler: at once, or when an earlier call of the same aggregate, which is out of time, has ended. */
  private invoke(subject: Subject, attempt: Attempt, isAsked: boolean): unknown {
    if (this.overdue.isEmpty) return this.code.call(subject, attempt, isAsked);
    let go: () => void = () => {};
    const cancel = this.overdue.wait(keyOf(subject), () => go());
    if (cancel === undefined) return this.code.call(subject, attempt, isAsked);
    if (!this.isElsewhere) this.beginsLater(attempt);
    attempt.cancel = cancel;
    return new Promise((resolve, reject) => {
      go = () => {
        if (!this.isElsewhere) attempt.begun();
        try {
          resolve(this.code.call(subject, attempt, isAsked));
        } catch (error) {
          reject(error);
        }
      };
    });
  }

  /** Resolves when the attempt has gone well and all has been reported, or does not count. */
  private async settle(subject: Subject, attempt: Attempt, result: unknown, done: () => void): Promise<Result> {
    try {
      await this.settled(subject, attempt, result).catch((error: unknown) => {
        if (attempt.usedEffects?.haveHappened !== true) throw error;
      });
      const isCommitted = await attempt.usedEffects?.commit();
      if (!this.breaker.isQuiet) this.breaker.succeeded();
      if (isCommitted) this.handlerState.stage(attempt.entry!.table, attempt.entry!.key, undefined);
      else if (attempt.usedEffects?.stage() === false) return 'again';
      done();
      return 'done';
    } catch (error) {
      if (!this.isAway(attempt, subject, error)) throw error;
      this.lastError = error;
      this.breaker.failed();
      return attempt.usedEffects?.isHeldUp(error) ? 'held' : 'away';
    } finally {
      attempt.usedEffects?.close();
    }
  }

  private isAway({ usedEffects }: Attempt, subject: Subject, error: unknown): boolean {
    if (isTooLarge(subject, error) && usedEffects?.couldNotBegin !== true) return false;
    return usedEffects?.hasMissed(error) ?? isStoreAway(error);
  }

  /** Whether the store can be read: then what failed as if it were unavailable was something else. */
  private async storeAnswers(): Promise<boolean> {
    try {
      await this.handlerState.range(checkpointTable, { limit: 1 });
      return true;
    } catch {
      return false;
    }
  }

  /** Resolves as the attempt does, or rejects when its time is up. */
  private settled(subject: Subject, attempt: Attempt, result: unknown): Promise<void> {
    if (!isThenable(result)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      attempt.giveUp = (error) => {
        if (attempt.hasBegun) this.overdue.add(keyOf(subject), result);
        reject(error);
      };
      this.deadlines.add(attempt);
      result.then(
        () => {
          this.ended(attempt);
          resolve();
        },
        (error) => {
          this.ended(attempt);
          reject(error);
        },
      );
    });
  }

  private ended(attempt: Attempt): void {
    this.deadlines.delete(attempt);
    attempt.running?.end();
  }
}

/** What is called one at a time: the events of one aggregate, or, in batches, whatever comes. */
const keyOf = (subject: Subject): string =>
  Array.isArray(subject) ? '' : aggregateKey(subject as Exclude<Subject, readonly unknown[]>);
