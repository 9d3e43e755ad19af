// The attempts of one handler, one by one: each is called, timed, and what it came to is found out. Owned by the host thread.
//
// - An attempt out of time has its signal aborted and is waited for no longer. It may go on by itself; what it puts into its
//   transaction afterwards is thrown away, and the next call of its aggregate waits for its end.
// - What fails because the store is unavailable says nothing about the handler: its result says so, and it is not counted.
// - The same holds for what ends before the handler has been called in its own thread: no thread could be made (no descriptor is
//   free), or it could not load the module. Known by that, and not by what the error says.

import { isStoreAway } from '../base/store-away.ts';
import { isThenable } from '../base/thenable.ts';
import { aggregateKey } from '../dead-letters/letters.ts';
import { checkpointTable } from '../handler-state/checkpoint.ts';
import { PROJECTION_PREFIX } from '../handler-state/handler-name.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import type { Change } from '../handler-state/handler-state-store.ts';
import { Attempt, type Subject } from './attempt.ts';
import type { Breaker } from './breaker.ts';
import { Deadlines } from './deadlines.ts';
import { HandlerCode, type HandlerFn } from './handler-code.ts';
import { OverdueCalls } from './overdue.ts';
import { isTooLarge } from './retried.ts';
import type { SubscriptionSettings } from './settings.ts';
import type { Slots } from './slots.ts';

/**
 * `again`: what the attempt had read has changed. `away`: the store was unavailable. `held`: the same, and no statement of the
 * handler's own had run, or its thread had not called the handler, so that it is never counted. None of the three counts at once.
 */
export type Result = 'done' | 'again' | 'away' | 'held';

export type AttemptSettings = Pick<
  SubscriptionSettings,
  'name' | 'keptAs' | 'evolution' | 'timeoutMs' | 'module' | 'moduleMs'
>;

/** What the attempts share with the rest of their subscription. */
export interface AttemptParts {
  readonly state: StateTables;
  readonly breaker: Breaker;
  readonly slots: Slots;
  /** The handler's thread has not come to a call. */
  unready(error: unknown): void;
}

export class AttemptRunner {
  private readonly settings: AttemptSettings;
  private readonly handlerState: StateTables;
  private readonly breaker: Breaker;
  private readonly slots: Slots;
  private readonly unready: (error: unknown) => void;
  private readonly deadlines: Deadlines;
  private readonly overdue = new OverdueCalls();
  readonly code: HandlerCode;
  /** The handler is in threads of its own: a thread is free when its call has ended, whatever became of the attempt. */
  private readonly isElsewhere: boolean;
  failures = 0;
  lastError: unknown;

  constructor(settings: AttemptSettings, call: HandlerFn, parts: AttemptParts) {
    const { state, breaker, slots } = parts;
    this.settings = settings;
    this.handlerState = state;
    this.breaker = breaker;
    this.slots = slots;
    this.unready = (error) => parts.unready(error);
    this.isElsewhere = settings.module !== undefined;
    this.code = new HandlerCode(settings.name, call, this.isElsewhere || settings.name.startsWith(PROJECTION_PREFIX));
    const startMs = this.isElsewhere ? Math.max(settings.moduleMs ?? 0, settings.timeoutMs) : settings.timeoutMs;
    this.deadlines = new Deadlines(settings.name, startMs, settings.timeoutMs);
  }

  make(subject: Subject, number: number, beside?: 'dry run' | 'replay'): Attempt {
    const attempt = new Attempt(this.settings, this.handlerState, {
      attempt: number,
      subject,
      isBeside: beside !== undefined,
      dryRun: beside === 'dry run',
    });
    if (this.isElsewhere) this.beginsLater(attempt);
    return attempt;
  }

  private beginsLater(attempt: Attempt): void {
    attempt.hasBegun = false;
    attempt.begun = () => this.deadlines.begun(attempt);
  }

  /** Give its slot back. */
  leave(result: unknown): void {
    const free = (): void => this.slots.free();
    if (this.isElsewhere && isThenable(result)) result.then(free, free);
    else free();
  }

  /** As `invoke` does; what it throws becomes a rejection. */
  tryInvoke(subject: Subject, attempt: Attempt, isAsked: boolean): unknown {
    try {
      return this.invoke(subject, attempt, isAsked);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Call the handler: at once, or when an earlier call of the same aggregate, which is out of time, has ended. */
  invoke(subject: Subject, attempt: Attempt, isAsked: boolean): unknown {
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
  async settle(subject: Subject, attempt: Attempt, result: unknown, done: () => void): Promise<Result> {
    try {
      await this.settled(subject, attempt, result).catch((error: unknown) => {
        if (attempt.usedEffects?.haveHappened !== true) throw error;
      });
      const isCommitted = await attempt.usedEffects?.commit();
      if (!this.breaker.isQuiet) this.breaker.succeeded();
      if (isCommitted) this.keptByEntry(attempt.entry!, done);
      else if (attempt.usedEffects?.stage() === false) return 'again';
      else done();
      return 'done';
    } catch (error) {
      const isUnready = attempt.isWaitingForThread;
      if (!isUnready && !this.isAway(attempt, subject, error)) throw error;
      this.lastError = error;
      this.breaker.failed();
      if (isUnready) this.unready(error);
      return isUnready || attempt.usedEffects?.isHeldUp(error) ? 'held' : 'away';
    } finally {
      attempt.usedEffects?.close();
    }
  }

  /** Its transaction has left an entry, which goes when the checkpoint says the same. */
  private keptByEntry({ table, key }: Change, done: () => void): void {
    this.handlerState.known(() => {
      this.handlerState.stage(table, key, undefined);
      done();
    });
  }

  private isAway({ usedEffects }: Attempt, subject: Subject, error: unknown): boolean {
    if (isTooLarge(subject, error) && usedEffects?.couldNotBegin !== true) return false;
    return usedEffects?.hasMissed(error) ?? isStoreAway(error);
  }

  /** It has failed, and that counts. */
  failed(error: unknown): void {
    this.failures++;
    this.lastError = error;
    this.breaker.failed();
  }

  /** Whether the store can be read: then what failed as if it were unavailable was something else. */
  async storeAnswers(): Promise<boolean> {
    try {
      await this.handlerState.range(checkpointTable, { limit: 1 });
      return true;
    } catch {
      return false;
    }
  }

  /** All that run are out of time now. */
  expireAll(reason: unknown): void {
    this.deadlines.expireAll(reason);
  }

  /** Resolves as the attempt does, or rejects when its time is up. */
  settled(subject: Subject, attempt: Attempt, result: unknown): Promise<void> {
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
