// The part of a runtime's face that is about handlers. Owned by the host thread.

import { TrunklineError } from '../base/errors.ts';
import { promised } from '../base/thenable.ts';
import type { DeadLetters } from '../dead-letters/dead-letters.ts';
import type { EffectTransaction } from '../handler-state/effect-transaction.ts';
import type { AggregateLike, EventNameOf } from '../model/aggregate.ts';
import type { Projection, ProjectionDefinition } from '../projections/projection.ts';
import { type EventHandlerLike, type RegisterOptions, subscriptionOf } from '../subscriptions/event-handler.ts';
import type {
  AnySubscribeOptions,
  SubscribeBatchOptions,
  SubscribeOptions,
  SubscribeWorkerOptions,
  Subscription,
} from '../subscriptions/handlers.ts';
import type { RangeOptions } from '../subscriptions/reading-options.ts';
import type { ReplayOptions, ReplayProgress } from '../subscriptions/replay.ts';
import type { Carried, DeliveredFields } from '../wire/carried.ts';
import type { ForgottenHandler } from './forget-handler.ts';
import type { HandlerStage } from './handlers-stage.ts';

/** What a runtime offers to handlers: subscriptions, dead letters, effects that happen once. */
export abstract class HandlerDoor {
  private readonly handlers: HandlerStage;

  /** @internal */
  constructor(handlers: HandlerStage) {
    this.handlers = handlers;
  }

  private stageOf(): HandlerStage {
    if (!this.handlers.isClosed) return this.handlers;
    throw new TrunklineError('RuntimeClosed', { state: 'closed' });
  }

  subscribe<const A extends AggregateLike = any, const T extends EventNameOf<A> = EventNameOf<A>>(
    options: SubscribeBatchOptions<A, T>,
  ): Subscription;
  subscribe<const A extends AggregateLike = any, const T extends EventNameOf<A> = EventNameOf<A>>(
    options: SubscribeWorkerOptions<A, T>,
  ): Subscription;
  subscribe<const A extends AggregateLike = any, const T extends EventNameOf<A> = EventNameOf<A>>(
    options: SubscribeOptions<A, T>,
  ): Subscription;
  /**
   * A durable handler: every event that it wants, at least once, in version order per aggregate, from its own checkpoint on.
   * Events come behind `synced`: power loss takes none that it has seen.
   *
   * ```ts
   * runtime.subscribe({
   *   name: 'billing', aggregates: [Call], events: ['CallCompleted'],
   *   handle: async (event, { effectKey, signal }) => charge(event.data, effectKey, signal),
   * });
   * ```
   * @throws InvalidOptions, SubscriptionExists, UnknownEventType
   */
  subscribe(options: AnySubscribeOptions): Subscription {
    return this.stageOf().subscribe(options);
  }

  /** A subscription of this run, by name. @throws UnknownSubscription */
  subscription(name: string): Subscription {
    return this.stageOf().find(name);
  }

  /**
   * Subscribe an instance of a class, under its `handlerName` or the name that is given.
   * @throws InvalidOptions, SubscriptionExists
   */
  register(handler: EventHandlerLike, options: RegisterOptions = {}): Subscription {
    return this.stageOf().subscribe(subscriptionOf(handler, options));
  }

  project<
    Row extends DeliveredFields<Row>,
    const A extends AggregateLike = any,
    const T extends EventNameOf<A> = EventNameOf<A>,
  >(definition: ProjectionDefinition<Row, A, T>): Projection<Row>;
  /**
   * Fold events into rows, from the start, and keep them current.
   * @throws InvalidOptions, SubscriptionExists
   */
  project(definition: ProjectionDefinition<any>): Projection<any> {
    return this.stageOf().project(definition);
  }

  async replay<const A extends AggregateLike = any, const T extends EventNameOf<A> = EventNameOf<A>>(
    options: ReplayOptions<A, T>,
  ): Promise<ReplayProgress>;
  /**
   * Events of the past, once more, in log order, to a function or a running handler; moves no checkpoint.
   * @throws InvalidOptions, UnknownSubscription, PositionGone, PositionAhead, the signal's reason, what the function throws
   */
  replay(options: ReplayOptions): Promise<ReplayProgress> {
    return promised(() => this.stageOf().replay(options));
  }

  /**
   * All that is kept of a handler that is gone permanently: its checkpoint, which holds months of the store, notes and rows. For
   * a projection `projection:NAME`; a table of yours stays, with its rows. `dryRun`: only say what would go.
   * @throws InvalidOptions, UnknownSubscription, HandlerNeeded: it is running, or has dead letters
   */
  async forgetHandler(name: string, options: { dryRun?: boolean | undefined } = {}): Promise<ForgottenHandler> {
    return this.stageOf().forget(name, options);
  }

  /** What handlers could not handle. */
  get deadLetters(): DeadLetters {
    return this.stageOf().deadLetters;
  }

  /**
   * Run an effect once for a key (a delivery's `effectKey`), however often it is asked for: its changes and the key are
   * committed together, and its result is remembered for seven days, as JSON carries it. Resolves when that is on disk.
   */
  once<T>(effectKey: string, effect: (tx: EffectTransaction) => Promise<T> | T): Promise<Carried<T>> {
    return promised(() => this.stageOf().once(effectKey, effect)) as Promise<Carried<T>>;
  }

  /** What an effect has put into a table; undefined if there is nothing under that key. */
  async effect(table: string, key: string): Promise<unknown> {
    return this.stageOf().effect(table, key);
  }

  /** What effects have put into a table, in the order of the keys' bytes: from `start` on, before `end`. */
  async effects(table: string, range: RangeOptions = {}): Promise<{ key: string; value: unknown }[]> {
    return this.stageOf().effects(table, range);
  }
}
