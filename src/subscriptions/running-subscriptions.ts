// The subscriptions of this run, by name. Owned by the host thread.
//
// Invariant: a name has one subscription at a time, and none while what is kept under it is being forgotten.

import { TrunklineError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Running } from '../base/running.ts';
import type { LetterHandler, RunningHandlers } from '../dead-letters/dead-letters.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import type { Care } from '../wire/care.ts';
import type { Feed } from './feed.ts';
import type { HandlerFn } from './handler-code.ts';
import type { SubscriptionStatus } from './handlers.ts';
import type { SubscriptionSettings } from './settings.ts';
import type { StartPositions } from './start-positions.ts';
import { RunningSubscription } from './subscription.ts';
import type { BeginOptions } from './subscription-parts.ts';

/** What all subscriptions share. */
interface SharedParts {
  /** Where they keep what must survive, unless they say otherwise. */
  readonly handlerState: StateTables;
  readonly feed: Feed;
  readonly starts: StartPositions;
  readonly care: Care;
  readonly logger: Logger;
  /** Aborts when none may begin any more. */
  readonly closing: AbortSignal;
  /** Called before each of them begins. @throws DiskFull */
  prepare(): void;
  runtimeHasFailed(): boolean;
}

export class RunningSubscriptions implements RunningHandlers {
  private readonly parts: SharedParts;
  private readonly all = new Map<string, RunningSubscription>();
  private readonly internal = new Set<string>();
  /** Names of handlers that are being forgotten. */
  private readonly forgetting = new Set<string>();

  constructor(parts: SharedParts) {
    this.parts = parts;
  }

  /** @throws SubscriptionExists, RuntimeClosed */
  begin(settings: SubscriptionSettings, call: HandlerFn, options: BeginOptions = {}): RunningSubscription {
    const { handlerState, feed, starts, care, logger, closing, prepare, runtimeHasFailed } = this.parts;
    const { closed = () => {}, isInternal = false } = options;
    if (closing.aborted) throw new TrunklineError('RuntimeClosed', { state: 'closing' });
    const { name, names } = settings;
    for (const one of names) this.checkFree(one);
    prepare();
    const subscription: RunningSubscription = new RunningSubscription(settings, {
      handlerState: options.handlerState ?? handlerState,
      feed,
      starts,
      call,
      care,
      ready: options.ready,
      volatile: options.volatile ?? false,
      runtimeHasFailed,
      onError: (error, details) => logger.error({ err: error, ...details }, 'a handler failed'),
      onUnready: (error) =>
        logger.warn(
          { err: error, handler: name },
          'a handler has no thread for its call, which waits and is tried again',
        ),
      onWidened: (details) =>
        logger.warn(
          details,
          'a subscription takes more than in its last run, and has skipped that up to its checkpoint: replay it, or reset',
        ),
      onNothingKept: (details) =>
        logger.warn(details, 'nothing is kept of a subscription under its former names: it begins; is one misspelt?'),
      onClosed: async () => {
        this.all.delete(name);
        this.internal.delete(name);
        await closed();
      },
    });
    this.all.set(name, subscription);
    if (isInternal) this.internal.add(name);
    return subscription;
  }

  /** @throws SubscriptionExists */
  checkFree(name: string): void {
    if (!this.has(name)) return;
    throw new TrunklineError('SubscriptionExists', { handler: name });
  }

  /** It runs, or is being forgotten. */
  has(name: string): boolean {
    return this.byAnyName(name) !== undefined || this.forgetting.has(name);
  }

  isForgetting(name: string): boolean {
    return this.forgetting.has(name);
  }

  /** From now on it may not begin, until what is returned is called. */
  keepFrom(name: string): () => void {
    this.forgetting.add(name);
    return () => this.forgetting.delete(name);
  }

  get names(): string[] {
    return [...this.all.keys()];
  }

  find(name: string): LetterHandler | undefined {
    return this.byAnyName(name)?.dispatcher.asked;
  }

  keptAs(name: string): string {
    return this.byAnyName(name)?.settings.keptAs ?? name;
  }

  /** By its name of today, or one that it had. */
  private byAnyName(name: string): RunningSubscription | undefined {
    return this.all.get(name) ?? [...this.all.values()].find(({ settings }) => settings.names.includes(name));
  }

  /** One that users may steer. @throws UnknownSubscription */
  named(name: string): RunningSubscription {
    const found = this.internal.has(name) ? undefined : this.byAnyName(name);
    if (found) return found;
    const known = this.names.filter((one) => !this.internal.has(one));
    throw new TrunklineError('UnknownSubscription', { handler: name, known });
  }

  status(): SubscriptionStatus[] {
    return [...this.all.values()].map((subscription) => subscription.status());
  }

  values(): RunningSubscription[] {
    return [...this.all.values()];
  }

  /** Their handlers' code. */
  *running(): Iterable<Running> {
    for (const { dispatcher } of this.all.values()) yield* dispatcher.code.running();
  }

  /** These tables have come back from an earlier state: what is kept there goes on no more in this run. */
  fail(handlerState: StateTables, error: Error): void {
    for (const subscription of this.all.values()) if (subscription.isKeptIn(handlerState)) subscription.fail(error);
  }

  /** There may be room again for what they take. */
  wake(): void {
    for (const subscription of this.all.values()) subscription.wake();
  }

  /** While closing: handlers that run have no longer than this, then their signals are aborted and nothing waits for them. */
  endWithin(graceMs: number): void {
    for (const subscription of this.all.values()) subscription.endWithin(graceMs);
  }
}
