// `runtime.subscriptions`: durable handlers of this run. Owned by the host thread.

import { promised } from '../base/thenable.ts';
import type { AggregateLike, EventNameOf } from '../model/aggregate.ts';
import { type EventHandlerLike, type RegisterOptions, subscriptionOf } from '../subscriptions/event-handler.ts';
import type {
  AnySubscribeOptions,
  SubscribeBatchOptions,
  SubscribeOptions,
  SubscribeWorkerOptions,
  Subscription,
  SubscriptionStatus,
} from '../subscriptions/handlers.ts';
import type { ReplayOptions, ReplayProgress } from '../subscriptions/replay.ts';
import type { ForgottenHandler } from './forget-handler.ts';
import type { HandlerStage } from './handlers-stage.ts';

/** Durable handlers; see `runtime.subscriptions`. */
export class Subscriptions {
  private readonly stage: HandlerStage;

  /** @internal */
  constructor(stage: HandlerStage) {
    this.stage = stage;
  }

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
   * @throws InvalidOptions, SubscriptionExists, UnknownEventType, RuntimeClosed
   */
  subscribe<const A extends AggregateLike = any, const T extends EventNameOf<A> = EventNameOf<A>>(
    options: SubscribeBatchOptions<A, T>,
  ): Subscription;
  subscribe<const A extends AggregateLike = any, const T extends EventNameOf<A> = EventNameOf<A>>(
    options: SubscribeWorkerOptions<A, T>,
  ): Subscription;
  subscribe<const A extends AggregateLike = any, const T extends EventNameOf<A> = EventNameOf<A>>(
    options: SubscribeOptions<A, T>,
  ): Subscription;
  subscribe(options: AnySubscribeOptions): Subscription {
    return this.stage.open.subscribe(options);
  }

  /**
   * Subscribe an instance of a class, under its `handlerName` or the name that is given.
   * @throws InvalidOptions, SubscriptionExists, RuntimeClosed
   */
  register(handler: EventHandlerLike, options: RegisterOptions = {}): Subscription {
    return this.stage.open.subscribe(subscriptionOf(handler, options));
  }

  /** One of this run, by its name. @throws UnknownSubscription, RuntimeClosed */
  named(name: string): Subscription {
    return this.stage.open.find(name);
  }

  /** Of each of this run, those of projections included; as in `runtime.status()`. */
  status(): SubscriptionStatus[] {
    return this.stage.status();
  }

  /**
   * Events of the past, once more, in log order, to a function or a running handler; moves no checkpoint.
   * @throws InvalidOptions, UnknownSubscription, PositionGone, PositionAhead, RuntimeClosed, the signal's reason,
   * what the function throws
   */
  async replay<const A extends AggregateLike = any, const T extends EventNameOf<A> = EventNameOf<A>>(
    options: ReplayOptions<A, T>,
  ): Promise<ReplayProgress>;
  replay(options: ReplayOptions): Promise<ReplayProgress> {
    return promised(() => this.stage.open.replay(options));
  }

  /**
   * All that is kept of a handler that is gone permanently: its checkpoint, which holds months of the store, notes and rows. For
   * a projection `projection:NAME`; a table of yours stays, with its rows. `dryRun`: only say what would go.
   * @throws InvalidOptions, UnknownSubscription, RuntimeClosed, HandlerNeeded: it is running, or has dead letters
   */
  async forget(name: string, options: { dryRun?: boolean | undefined } = {}): Promise<ForgottenHandler> {
    return this.stage.open.forget(name, options);
  }
}
