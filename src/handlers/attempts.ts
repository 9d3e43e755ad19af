// One delivery to a handler, tried until it works or may be tried no more. Owned by the caller's thread.
//
// - A first attempt that returns at once costs a call; everything else is p-retry's.
// - A slot is held by an attempt, not by the pause after it: one event that is retried holds up nobody.
// - Attempts that fail while the circuit is open are not made: they wait.
// - Attempts that fail because the store is away are not counted: they wait.
// - Once the runtime has failed, no failure says anything about the handler: the next start delivers again.
// - An attempt out of time has its signal aborted and is waited for no longer. It may go on by itself; what it puts into its
//   transaction afterwards is thrown away.
import { setTimeout as pause } from 'node:timers/promises';
import pRetry from 'p-retry';
import { isError, TrunklineError } from '../errors.ts';
import { guarded } from '../guarded.ts';
import { Attempt, type Subject } from './attempt.ts';
import type { Breaker } from './breaker.ts';
import type { Delivery } from './handlers.ts';
import { patienceMs } from './patience.ts';
import type { SubscriptionSettings } from './settings.ts';
import type { Slots } from './slots.ts';
import type { Tables } from './tables.ts';

/** What is handed over: an event, or the events of a batch. */
export type Call = (subject: any, delivery: Delivery) => unknown;

export type Outcome =
  | { kind: 'done' }
  | { kind: 'failed'; error: unknown; attempts: number }
  /** The runtime waits no longer. */
  | { kind: 'abandoned' };

/** `again`: what it read has changed meanwhile. `away`: so is the store. Neither counts. */
type Result = 'done' | 'again' | 'away';

type AttemptSettings = Pick<SubscriptionSettings, 'name' | 'retry' | 'timeoutMs'>;

export class Attempts {
  private readonly settings: AttemptSettings;
  private readonly call: Call;
  private readonly tables: Tables;
  private readonly breaker: Breaker;
  private readonly slots: Slots;
  private readonly runtimeHasFailed: () => boolean;
  private readonly ending = new AbortController();
  private readonly running = new Set<Attempt>();
  private timer: NodeJS.Timeout | undefined;
  failures = 0;
  lastError: unknown;

  constructor(
    settings: AttemptSettings,
    call: Call,
    tables: Tables,
    breaker: Breaker,
    slots: Slots,
    runtimeHasFailed: () => boolean,
  ) {
    this.settings = settings;
    this.call = call;
    this.tables = tables;
    this.breaker = breaker;
    this.slots = slots;
    this.runtimeHasFailed = runtimeHasFailed;
  }

  /**
   * The first attempt, in a slot that the caller holds. `true`: done at once, and nothing else is to be told. Else what it
   * came to, retries included; the slot has been given back. `done` is called with the effects staged, in the same turn.
   */
  begin(subject: Subject, eventId: string, done: () => void): true | Promise<Outcome> {
    const attempt = this.attempt(subject, eventId, 1);
    let result: unknown;
    try {
      result = this.call(subject, attempt);
      if (!isThenable(result) && attempt.usedEffects === undefined && this.breaker.isQuiet) {
        this.slots.free();
        return true;
      }
    } catch (error) {
      result = Promise.reject(error);
    }
    return this.goOn(subject, eventId, attempt, result, done);
  }

  /** All attempts, first to last; takes slots by itself. `mayBegin` is asked when there is one. */
  async run(
    subject: Subject,
    eventId: string,
    done: () => void,
    mayBegin: () => boolean = () => true,
  ): Promise<Outcome> {
    await this.slots.take();
    await this.breaker.pass();
    if (this.ending.signal.aborted || !mayBegin()) {
      this.slots.free();
      return { kind: 'abandoned' };
    }
    const outcome = this.begin(subject, eventId, done);
    if (outcome !== true) return outcome;
    done();
    return { kind: 'done' };
  }

  /** One attempt outside of the road; its effects are thrown away. */
  async dryRun(subject: Subject, eventId: string, dryRun = true): Promise<Outcome> {
    const attempt = new Attempt(this.settings.name, eventId, 1, this.tables, undefined, dryRun);
    try {
      await this.settled(attempt, (async () => this.call(subject, attempt))());
      return { kind: 'done' };
    } catch (error) {
      return { kind: 'failed', error, attempts: 1 };
    } finally {
      attempt.usedEffects?.close();
    }
  }

  /** Wait no longer: abort what runs, retry nothing. */
  abort(): void {
    this.ending.abort(new TrunklineError('RuntimeClosed', { state: 'closing' }));
    for (const attempt of this.running) attempt.expire(this.ending.signal.reason);
    clearTimeout(this.timer);
    this.breaker.close();
  }

  /** Retry nothing from now on; what pauses is abandoned, what runs may end. */
  stopRetrying(): void {
    this.ending.abort(new TrunklineError('RuntimeClosed', { state: 'closing' }));
    this.breaker.close();
  }

  private attempt(subject: Subject, eventId: string, number: number): Attempt {
    return new Attempt(this.settings.name, eventId, number, this.tables, subject, false);
  }

  private async goOn(
    subject: Subject,
    eventId: string,
    first: Attempt,
    result: unknown,
    done: () => void,
  ): Promise<Outcome> {
    let made = 1;
    let error: unknown;
    let misses = 0;
    let last: Result | undefined;
    try {
      last = await this.settle(first, result, done);
      if (last === 'done') return { kind: 'done' };
      made--;
    } catch (thrown) {
      error = thrown ?? new Error(`the handler rejected with ${thrown}`);
    } finally {
      this.slots.free();
    }
    let hasFailed = error !== undefined;
    const again = async (): Promise<void> => {
      if (hasFailed) {
        hasFailed = false;
        throw error;
      }
      while (last !== 'done') {
        if (last === 'away') await pause(patienceMs(++misses), undefined, { signal: this.ending.signal });
        else misses = 0;
        await this.slots.take();
        try {
          await this.breaker.pass();
          this.ending.signal.throwIfAborted();
          const attempt = this.attempt(subject, eventId, made + 1);
          const outcome = this.invoke(subject, attempt);
          made++;
          last = undefined;
          last = await this.settle(attempt, outcome, done);
          if (last !== 'done') made--;
        } finally {
          this.slots.free();
        }
      }
    };
    const { retry } = this.settings;
    try {
      await pRetry(
        () =>
          again().catch(async (thrown) => {
            if (this.runtimeHasFailed()) this.stopRetrying();
            this.ending.signal.throwIfAborted();
            error = thrown ?? new Error(`the handler rejected with ${thrown}`);
            this.failures++;
            this.lastError = error;
            await this.breaker.failed(error);
            // The library gives up on a TypeError, and on what is no Error; to us they are failures like any other.
            throw error instanceof Error && !(error instanceof TypeError) ? error : new Error(String(error));
          }),
        {
          retries: retry.attempts - 1,
          factor: retry.factor,
          minTimeout: retry.minDelayMs,
          maxTimeout: retry.maxDelayMs,
          maxRetryTime: Number.POSITIVE_INFINITY,
          randomize: retry.jitter,
          unref: false,
          signal: this.ending.signal,
          shouldConsumeRetry: () => true,
          shouldRetry: () => !this.ending.signal.aborted && this.isRetried(error),
        },
      );
      return { kind: 'done' };
    } catch {
      if (this.ending.signal.aborted) return { kind: 'abandoned' };
      return { kind: 'failed', error, attempts: made };
    }
  }

  private invoke(subject: Subject, attempt: Attempt): unknown {
    try {
      return this.call(subject, attempt);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Resolves when the attempt has gone well and all has been told, or does not count. */
  private async settle(attempt: Attempt, result: unknown, done: () => void): Promise<Result> {
    try {
      await this.settled(attempt, result).catch((error: unknown) => {
        if (attempt.usedEffects?.haveHappened !== true) throw error;
      });
      const isCommitted = await attempt.usedEffects?.commit();
      if (!this.breaker.isQuiet) await this.breaker.succeeded();
      if (isCommitted) this.tables.stage(attempt.entry!.table, attempt.entry!.key, undefined);
      else if (attempt.usedEffects?.stage() === false) return 'again';
      done();
      return 'done';
    } catch (error) {
      if (!this.isAway(attempt, error)) throw error;
      this.lastError = error;
      await this.breaker.failed(error);
      return 'away';
    } finally {
      attempt.usedEffects?.close();
    }
  }

  private isAway({ usedEffects }: Attempt, error: unknown): boolean {
    return usedEffects?.hasMissed(error) ?? isError(error, 'StoreUnavailable');
  }

  /** Resolves as the attempt does, or rejects when its time is up. */
  private settled(attempt: Attempt, result: unknown): Promise<void> {
    if (!isThenable(result)) {
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      attempt.deadline = performance.now() + this.settings.timeoutMs;
      this.running.add(attempt);
      attempt.giveUp = reject;
      this.watch();
      const end = (): void => {
        this.running.delete(attempt);
      };
      result.then(
        () => {
          end();
          resolve();
        },
        (error) => {
          end();
          reject(error);
        },
      );
    });
  }

  /** One timer for all that run: all have the same time, so the oldest is the next. */
  private watch(): void {
    if (this.timer !== undefined) return;
    for (const oldest of this.running) {
      // It outlasts what it was set for, rather than being set for each; it must not outlast the process.
      const inMs = Math.max(1, Math.ceil(oldest.deadline - performance.now()));
      this.timer = setTimeout(
        guarded(() => this.expire()),
        inMs,
      ).unref();
      return;
    }
  }

  private expire(): void {
    this.timer = undefined;
    const now = performance.now();
    const { name: handler, timeoutMs } = this.settings;
    for (const attempt of this.running) {
      if (attempt.deadline > now) break;
      this.running.delete(attempt);
      attempt.expire(new TrunklineError('HandlerTimedOut', { handler, timeoutMs }));
    }
    this.watch();
  }

  private isRetried(error: unknown): boolean {
    return !this.settings.retry.notRetried.some((one) => {
      if (one === Error || one.prototype instanceof Error) return error instanceof (one as new () => Error);
      return (one as (error: unknown) => boolean)(error);
    });
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
