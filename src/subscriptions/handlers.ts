// The contract of the handler stage, public: what a subscription is, what a handler is given, what may be asked of both.

import type { EffectTransaction } from '../handler-state/effect-transaction.ts';
import type { AggregateLike, EventNameOf, EventsNamed } from '../model/aggregate.ts';
import type { WaitOptions } from './reading-options.ts';

/** What a handler gets beside the event. */
export interface Delivery {
  /** The same for every delivery of this event to this handler: what the event is (its id and the rest of what names it) and the handler's name. */
  readonly effectKey: string;
  /** 1, 2, 3 … */
  readonly attempt: number;
  /** Aborts when the time is up (`HandlerTimedOut`), or when the runtime waits no longer. */
  readonly signal: AbortSignal;
  /** Effects that happen exactly once: committed in one transaction with the event's completion. */
  readonly tx: EffectTransaction;
  /** Only to see what would happen: `tx` is thrown away, and nothing moves. */
  readonly dryRun: boolean;
}

/** How often, and after which pauses, an event is tried again. */
export interface RetryOptions {
  /** Attempts in all, 1 to 1,000; default 5. The same for ends of the process while it is handled, at least 2. */
  attempts?: number | undefined;
  /** Pause before the second attempt, milliseconds; default 100; multiplied by `factor` (2) each time. */
  minDelayMs?: number | undefined;
  factor?: number | undefined;
  /** Longest pause, milliseconds; default 30,000. */
  maxDelayMs?: number | undefined;
  /** Whether pauses are stretched by a random factor of 1 to 2; default true. */
  jitter?: boolean | undefined;
  /** Errors that are not tried again: classes, or what tells them. */
  nonRetryable?: readonly ((abstract new (...args: any[]) => Error) | ((error: unknown) => boolean))[] | undefined;
}

/** After so many failures in a row, of whatever events, nothing is delivered for a while; then one attempt decides. */
export interface BreakerOptions {
  /** 1 to 1,000,000; default 20. */
  failures?: number | undefined;
  /** Milliseconds; default 5,000. */
  pauseMs?: number | undefined;
}

/** Events handed over several at a time. */
export interface BatchDelivery<Event> {
  /** Most events of one call, 1 to 100,000. */
  max: number;
  /** How long the first event may wait for others, milliseconds; default 0: as many as are there. */
  maxDelayMs?: number | undefined;
  /** Of the events of a batch with the same key only the last is handed over; the others count as handled. */
  coalesceBy?: ((event: Event) => string) | undefined;
}

/**
 * What happens to an event after its last attempt. `park`: it becomes a dead letter, and so does whatever comes after it
 * from the same aggregate, until it is resolved. `park-event`: it alone does. `stop`: the subscription stops before it.
 */
export type OnExhausted = 'park' | 'park-event' | 'stop';

/** Where a new subscription begins: an existing one goes on from its checkpoint. Default: `start`. */
export type From = 'start' | 'now' | number | Date;

interface SubscribeBase<Event, T extends string> {
  /** Unique; its checkpoint and its dead letters go by it. 1 to 100 bytes, no control characters. */
  name: string;
  /**
   * The names that it had before, the oldest first. Checkpoint, dead letters and keys of effects stay under that one, and so does what
   * the command line shows; status, errors and log lines name it as today. Filters of dead letters take each name.
   */
  renamedFrom?: readonly string[] | undefined;
  /** Event types; `'*'` or none: all. With `aggregates` by definition, the event that a handler gets is narrowed by them. */
  events?: '*' | readonly (T | '*')[] | undefined;
  /** Only events for which it returns true; one that throws counts as a failed attempt. */
  where?: ((event: Event) => boolean) | undefined;
  from?: From | undefined;
  /** Most calls at a time, 1 to 10,000; default 16. Of one aggregate always one event at a time, in version order. */
  concurrency?: number | undefined;
  /** Most events between the oldest that is not done and the newest taken, 1 to 1,000,000; default 10,000. Fewer where they have more than 64 MiB. */
  window?: number | undefined;
  retry?: RetryOptions | undefined;
  /**
   * How long one attempt may take, milliseconds, 1 to 2^31-1; default 30,000. Then `signal` aborts and the attempt has failed.
   * The next call of the same aggregate (of a batch: any) begins when this one has ended; if it does not end within another
   * `timeoutMs`, the next attempt has failed as well. So a handler should mind the signal. In threads of its own
   * (`thread: 'worker'`) a call that goes on for a second more is ended with its thread.
   */
  timeoutMs?: number | undefined;
  /** false: never pauses. */
  breaker?: BreakerOptions | false | undefined;
  onExhausted?: OnExhausted | undefined;
  /**
   * From so many dead letters on the subscription stops until some are resolved; what was in progress, at most `window`, may
   * still add to them.
   * 1 to 10,000,000; default 100,000.
   */
  deadLetterLimit?: number | undefined;
}

interface Handles<Event> {
  handle: (event: Event, delivery: Delivery) => unknown;
  batch?: undefined;
  thread?: undefined;
}

interface HandlesBatches<Event> {
  batch: BatchDelivery<Event>;
  handle: (events: readonly Event[], delivery: Delivery) => unknown;
  thread?: undefined;
}

interface HandlesElsewhere {
  thread: 'worker';
  /** A module, by URL or absolute path, whose default export is the handler: `import.meta.resolve('./handler.ts')`. */
  module: string;
  /** 1 to 64; default 1. No more calls are made at a time, whatever `concurrency` says. */
  threads?: number | undefined;
  batch?: undefined;
  handle?: undefined;
}

interface FromAggregates<A> {
  /** Aggregates whose events are wanted, by definition or by name; none: all. */
  aggregates?: readonly A[] | undefined;
}

/** The options of `runtime.subscribe`. Defaults suit a handler that writes to a database or calls a service. */
export type SubscribeOptions<A extends AggregateLike = any, T extends EventNameOf<A> = EventNameOf<A>> = SubscribeBase<
  EventsNamed<A, T>,
  T
> &
  FromAggregates<A> &
  Handles<EventsNamed<A, T>>;

/** The same for a handler that takes several events at a time, one call after the other. */
export type SubscribeBatchOptions<
  A extends AggregateLike = any,
  T extends EventNameOf<A> = EventNameOf<A>,
> = SubscribeBase<EventsNamed<A, T>, T> & FromAggregates<A> & HandlesBatches<EventsNamed<A, T>>;

/** The same for a handler in threads of a pool of its own: for what would block the service. No `tx` there. */
export type SubscribeWorkerOptions<
  A extends AggregateLike = any,
  T extends EventNameOf<A> = EventNameOf<A>,
> = SubscribeBase<EventsNamed<A, T>, T> & FromAggregates<A> & HandlesElsewhere;

export type AnySubscribeOptions = SubscribeOptions | SubscribeBatchOptions | SubscribeWorkerOptions;

/** `stopped`: by an event that cannot be handled, or too many dead letters; `failed`: it could not begin, or read. */
export type SubscriptionState = 'starting' | 'catching up' | 'live' | 'paused' | 'stopped' | 'failed' | 'closed';

/** How a subscription fares. */
export interface SubscriptionStatus {
  name: string;
  state: SubscriptionState;
  /** Everything up to this log position is handled or parked. */
  position: number;
  /** Log positions from there to the last one that is synced: more than the events that it will get. */
  lagEvents: number;
  /** Age of the oldest event that it has not done, seconds; 0 if it has done all. */
  lagSeconds: number;
  /** Events taken and not done. */
  inFlight: number;
  /** Events, and dead letters, that the handler has handled in this run; what is parked is not. */
  handled: number;
  failures: number;
  deadLetters: number;
  /** Of the circuit breaker; open: paused by failures. */
  circuit: 'closed' | 'open';
  lastError: string | undefined;
}

/** A running subscription; made by `runtime.subscribe`. */
export interface Subscription extends AsyncDisposable {
  readonly name: string;
  /** State, position, lag, failures and dead letters, as of now. */
  status(): SubscriptionStatus;
  /** Take nothing more. Resolves when what was in progress is done and that is on disk; survives a restart. */
  pause(): Promise<void>;
  /** Go on where `pause` has stopped, or after a stop by an error. Resolves when that is on disk. */
  resume(): Promise<void>;
  /**
   * Go on from there, back or forth, paused or not; what is in progress is done first. Dead letters stay.
   * @throws PositionGone, PositionAhead
   */
  reset(from: From): Promise<void>;
  /** Resolves when everything up to this position (or receipt) is handled or parked. */
  caughtUpTo(position: number | { readonly position: number }, options?: WaitOptions): Promise<void>;
  /** End it in this run; its checkpoint stays. */
  close(): Promise<void>;
}
