// The handler stage as the runtime starts and stops it: who subscribes, and where what they keep lies. Opened when it is
// first needed. Owned by the host thread.

import { TrunklineError } from '../base/errors.ts';
import { unawaited } from '../base/guarded.ts';
import { printAs, statusLine } from '../base/one-line.ts';
import type { Running } from '../base/running.ts';
import type { WarnOfModule } from '../base/slow-module.ts';
import { StopSteps } from '../base/stop-steps.ts';
import { DeadLetters } from '../dead-letters/dead-letters.ts';
import { MessageLetters } from '../dead-letters/message-letters.ts';
import type { DownShard } from '../dispatch/shard-lives.ts';
import type { EffectTransaction } from '../handler-state/effect-transaction.ts';
import { checkTable, effectTable } from '../handler-state/effects.ts';
import { PROJECTION_PREFIX } from '../handler-state/handler-name.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import type { HandlerStateStore, KeyRange } from '../handler-state/handler-state-store.ts';
import { Inbox } from '../handler-state/once.ts';
import { valuesOf } from '../handler-state/records.ts';
import { loadHandlerState, type RemoteHandlerState } from '../handler-state/state-adapter.ts';
import { checkKey } from '../handler-state/state-key.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { Evolution } from '../model/evolution.ts';
import { LocalProjection } from '../projections/local-projection.ts';
import {
  defineProjection,
  type Projection,
  type ProjectionDefinition,
  subscriptionName,
} from '../projections/projection.ts';
import { loadProjections, projectionsFor, type RemoteProjections } from '../projections/projection-adapter.ts';
import { callOf } from '../subscriptions/call.ts';
import { Feed } from '../subscriptions/feed.ts';
import type { HandlerFn } from '../subscriptions/handler-code.ts';
import type { AnySubscribeOptions, SubscribeOptions, SubscriptionStatus } from '../subscriptions/handlers.ts';
import { checkRange, type RangeOptions } from '../subscriptions/reading-options.ts';
import { type ReplayOptions, type ReplayProgress, replay } from '../subscriptions/replay.ts';
import { RunningSubscriptions } from '../subscriptions/running-subscriptions.ts';
import { resolveSubscription, type SubscriptionSettings } from '../subscriptions/settings.ts';
import { RunningSubscription } from '../subscriptions/subscription.ts';
import type { BeginOptions } from '../subscriptions/subscription-parts.ts';
import { noteUndeclared } from '../subscriptions/undeclared.ts';
import { WorkerPool } from '../subscriptions/worker-pool.ts';
import { checkForget, type ForgottenHandler, forget } from './forget-handler.ts';
import { HandlerStores } from './handler-stores.ts';
import { Requests } from './handlers-requests.ts';
import type { StageParts } from './handlers-stage-parts.ts';
import { carryOut } from './offline-handlers.ts';
import type { HandlerRequest } from './request-files.ts';

/** What a store elsewhere offers to handlers. */
interface RemoteParts {
  readonly state?: RemoteHandlerState | undefined;
  readonly projections?: RemoteProjections | undefined;
}

export class HandlerStage {
  readonly deadLetters: DeadLetters;
  readonly stores: HandlerStores;
  private readonly parts: StageParts;
  /** What the store's adapter offers. */
  private readonly adapter: RemoteParts;
  private readonly feed: Feed;
  private readonly subscriptions: RunningSubscriptions;
  private readonly inbox: Inbox;
  private readonly requests: Requests;
  private shards: { readonly down: readonly DownShard[] } = { down: [] };
  private readonly projections = new Map<string, Projection<any>>();
  private isFollowing = false;
  private readonly closing = new AbortController();
  private hasClosed = false;

  private constructor(parts: StageParts, adapter: RemoteParts) {
    this.parts = parts;
    this.adapter = adapter;
    const { history, control, logger } = parts;
    this.stores = new HandlerStores(parts, adapter.state, {
      behind: (handlerState, error) => this.subscriptions.fail(handlerState, error),
      room: () => this.subscriptions.wake(),
    });
    const { handlerState, starts, care, messageBox } = this.stores;
    this.feed = new Feed(history, control, (error) =>
      logger.error({ err: error }, 'reading for the subscriptions failed; it is tried again'),
    );
    this.inbox = new Inbox(handlerState, parts.options.inboxTtlMs, () => parts.control.keyClock());
    this.requests = new Requests(
      parts.folder,
      (request, onProgress, signal) => this.carryOut(request, onProgress, signal),
      (error) => parts.logger.warn({ err: error }, 'requests of other processes cannot be served, retrying'),
    );
    this.subscriptions = new RunningSubscriptions({
      handlerState,
      feed: this.feed,
      starts,
      care,
      logger,
      closing: this.closing.signal,
      prepare: () => this.prepare(),
      runtimeHasFailed: parts.runtimeHasFailed,
    });
    const messages = new MessageLetters(messageBox, parts.lanes, new Evolution(parts.definitions.values()));
    this.deadLetters = new DeadLetters(handlerState, this.subscriptions, parts.definitions, messages);
  }

  static async open(parts: StageParts): Promise<HandlerStage> {
    const { store } = parts;
    if (store === undefined) return new HandlerStage(parts, {});
    return new HandlerStage(parts, { state: await loadHandlerState(store), projections: await loadProjections(store) });
  }

  /** This, for a call of the user's. @throws RuntimeClosed */
  get open(): this {
    if (this.hasClosed) throw new TrunklineError('RuntimeClosed', { state: 'closed' });
    return this;
  }

  get local(): StateTables {
    return this.stores.local;
  }

  get remote(): HandlerStateStore | undefined {
    return this.stores.remote;
  }

  subscribe(options: AnySubscribeOptions): RunningSubscription {
    const { moduleRoots } = this.parts;
    const { moduleMs } = this.parts;
    const settings = { ...resolveSubscription(options, this.definitions, moduleRoots), moduleMs };
    for (const name of [settings.name, settings.keptAs]) {
      if (!name.startsWith(PROJECTION_PREFIX)) continue;
      const reason = `'${name}' begins with '${PROJECTION_PREFIX}', as names of projections' own subscriptions do`;
      throw new TrunklineError('InvalidOptions', { option: 'name', reason });
    }
    noteUndeclared(settings.name, settings, this.parts);
    if (settings.module === undefined) return this.begin(settings, callOf(settings, settings.handle as HandlerFn));
    this.subscriptions.checkFree(settings.name);
    const pool = new WorkerPool(settings.module, moduleMs, moduleRoots);
    const { logger } = this.parts;
    const warn: WarnOfModule = (message, details) =>
      logger.warn({ ...details, what: `handler '${settings.name}'` }, message);
    const ends = { ready: () => pool.load(warn), closed: () => pool.close() };
    try {
      return this.begin(settings, callOf(settings, pool.call), ends);
    } catch (error) {
      unawaited(pool.close(), () => {}); // its threads have started
      throw error;
    }
  }

  begin(settings: SubscriptionSettings, call: HandlerFn, options?: BeginOptions): RunningSubscription {
    return this.subscriptions.begin(settings, call, options);
  }

  /** Before a subscription begins. @throws DiskFull */
  private prepare(): void {
    if (!this.isFollowing) this.parts.progress.follow(() => this.feed.turn());
    this.isFollowing = true;
    this.stores.prepare();
  }

  /** Other processes may ask from now on. */
  serveRequests(): void {
    if (this.closing.signal.aborted) return;
    try {
      this.stores.makeFolder();
    } catch (error) {
      this.parts.logger.warn({ err: error }, 'requests of other processes cannot be served, retrying');
    }
    this.requests.start();
  }

  /** What other processes hear of the shards, once there are some. */
  tellOf(shards: { readonly down: readonly DownShard[] }): void {
    this.shards = shards;
  }

  find(name: string): RunningSubscription {
    return this.subscriptions.named(name);
  }

  projection(name: string): Projection<unknown> {
    const found = this.projections.get(name);
    if (found === undefined)
      throw new TrunklineError('UnknownSubscription', { handler: name, known: [...this.projections.keys()] });
    return found;
  }

  projectionHeldUp(projection: string, error: unknown): void {
    this.parts.logger.warn({ err: error, projection }, 'the store holds a projection up; it is tried again');
  }

  get waitTimeoutMs(): number {
    return this.parts.waitTimeoutMs;
  }

  get definitions(): ReadonlyMap<string, AnyAggregate> {
    return this.parts.definitions;
  }

  get syncedPosition(): number {
    return this.feed.synced;
  }

  project<Row>(definition: ProjectionDefinition<Row>): Projection<Row> {
    const { name, into, events, aggregates } = defineProjection<any>(definition);
    const handle = (): void => {};
    const settings = { name: subscriptionName(name, 1), events: events ?? '*', aggregates, handle };
    noteUndeclared(name, resolveSubscription(settings as SubscribeOptions, this.definitions), this.parts);
    if (this.closing.signal.aborted) throw new TrunklineError('RuntimeClosed', { state: 'closing' });
    if (this.projections.has(name) || this.subscriptions.isForgetting(`${PROJECTION_PREFIX}${name}`))
      throw new TrunklineError('SubscriptionExists', { handler: name });
    const closed = (): unknown => this.projections.delete(name);
    const projection =
      typeof into === 'object'
        ? projectionsFor(into, this.adapter.projections).projection(definition, into, this, closed)
        : new LocalProjection(definition, this, closed);
    this.projections.set(name, projection);
    return projection;
  }

  /** Everything that is kept of a handler that is gone permanently. @throws UnknownSubscription, HandlerNeeded */
  async forget(name: string, options: { dryRun?: boolean | undefined } = {}): Promise<ForgottenHandler> {
    checkForget(name, options);
    const { subscriptions } = this;
    const { remote, handlerState, local, beginnings } = this.stores;
    const { store, logId } = this.parts;
    let release = (): void => {};
    const isRunning = (full: string): boolean =>
      subscriptions.has(full) ||
      (full.startsWith(PROJECTION_PREFIX) && this.projections.has(full.slice(PROJECTION_PREFIX.length)));
    const hold = (full: string): void => {
      release = subscriptions.keepFrom(full);
    };
    try {
      const places = remote === undefined ? [local] : [handlerState, local];
      const traces = this.adapter.state?.traces(store?.settings, logId);
      return await forget({ places, remote: traces, beginnings, isRunning, hold }, name, options.dryRun ?? false);
    } finally {
      release();
    }
  }

  replay(options: ReplayOptions): Promise<ReplayProgress> {
    const { starts } = this.stores;
    const { history, control, definitions } = this.parts;
    return replay(options, {
      definitions,
      history,
      starts,
      find: (name) => this.find(name),
      written: () => control.position('written'),
      closing: this.closing.signal,
    });
  }

  /** What another process asks. */
  private carryOut(
    request: HandlerRequest,
    onProgress: (progress: ReplayProgress) => void,
    signal: AbortSignal,
  ): Promise<unknown> {
    if (request.kind === 'messageCounts') return Promise.resolve(this.parts.messageCounts());
    if (request.kind === 'subscriptions') {
      return Promise.resolve(this.status().map(({ name, state, lastError }) => ({ name, state, lastError })));
    }
    if (request.kind === 'shards') return Promise.resolve(this.shards.down);
    if (request.kind === 'forget') return this.forget(request.handler, { dryRun: request.dryRun });
    if (request.kind !== 'replay') return carryOut(this.deadLetters, request);
    const { handler, from, to, kind: _, ...rest } = request;
    const moment = (given: number | string): number | Date => (typeof given === 'string' ? new Date(given) : given);
    return this.replay({
      ...rest,
      ...(from !== undefined && { from: moment(from) }),
      ...(to !== undefined && { to: moment(to) }),
      into: handler,
      onProgress,
      signal,
    });
  }

  status(): SubscriptionStatus[] {
    return this.subscriptions.status();
  }

  once<T>(key: string, effect: (tx: EffectTransaction) => Promise<T> | T): Promise<T> {
    return this.inbox.once(key, effect);
  }

  /** A value that an effect has put there. */
  async effect(table: string, key: string): Promise<unknown> {
    checkTable(table);
    checkKey('key', key);
    return this.stores.handlerState.get(effectTable(table), key);
  }

  /** What effects have put into a table, in key order. */
  async effects(table: string, range: RangeOptions = {}): Promise<{ key: string; value: unknown }[]> {
    checkTable(table);
    return valuesOf(this.stores.handlerState, effectTable(table), checkRange('effects.range', range) as KeyRange);
  }

  *running(): Iterable<Running> {
    yield* this.subscriptions.running();
    yield* this.inbox.running();
  }

  /** While closing: handlers that run have no longer than this, then their signals are aborted and they are waited for no more. */
  endWithin(graceMs: number): void {
    this.subscriptions.endWithin(graceMs);
  }

  /** Let what runs end, and keep where everyone stands. */
  async close(): Promise<void> {
    const steps = new StopSteps();
    this.closing.abort(new TrunklineError('RuntimeClosed', { state: 'closing' }));
    const requestsClosed = this.requests.close();
    this.stores.lastCall();
    for (const all of [this.projections, this.subscriptions]) {
      const ends = [...all.values()].map((one) => steps.take(one.name, () => one.close()));
      await Promise.all(ends);
    }
    await steps.take('requests of other processes', () => requestsClosed);
    this.feed.close();
    this.stores.care.forget();
    this.hasClosed = true;
    await this.stores.handlerState.durable().catch(() => {}); // it has been reported, and is tried once more
    steps.end();
  }

  /** Give back where it is all kept, once nothing more comes. Nothing is written behind it, whatever still goes on. */
  async closeTables(): Promise<void> {
    const steps = new StopSteps();
    this.hasClosed = true;
    await steps.take('answers to other processes', () => this.requests.end());
    await this.stores.close(steps);
    steps.end();
  }

  /** What `closeTables` waits for is not waited for any longer: nothing more is written from now on. */
  cut(): void {
    this.stores.cut();
  }
}

printAs(RunningSubscription, (one) => statusLine('Subscription', one));
printAs<Projection<unknown>>(LocalProjection, (one) => statusLine('Projection', one));
