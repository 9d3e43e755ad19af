// The handler stage as the runtime starts and stops it: who subscribes, and where what they keep lies. Opened when it is
// first needed. Owned by the host thread.

import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { dataFileOf } from '../adapters/lmdb/handlers/environment.ts';
import { LmdbTables } from '../adapters/lmdb/handlers/tables.ts';
import { diskFull, isDiskFull } from '../base/disk-reserve.ts';
import { TrunklineError } from '../base/errors.ts';
import { unawaited } from '../base/guarded.ts';
import { printAs, statusLine } from '../base/one-line.ts';
import { makePrivateFolder, touchPrivate } from '../base/private-file.ts';
import type { Running } from '../base/running.ts';
import { StopSteps } from '../base/stop-steps.ts';
import { DeadLetters } from '../dead-letters/dead-letters.ts';
import { MessageBox } from '../dead-letters/message-box.ts';
import { type LaneControl, MessageLetters } from '../dead-letters/message-letters.ts';
import type { EffectTransaction } from '../handler-state/effect-transaction.ts';
import { checkTable, effectTable } from '../handler-state/effects.ts';
import { PROJECTION_PREFIX } from '../handler-state/handler-name.ts';
import { checkKey, StateTables } from '../handler-state/handler-state.ts';
import type { HandlerStateStore, KeyRange } from '../handler-state/handler-state-store.ts';
import { InHand, keyOf } from '../handler-state/in-hand.ts';
import { Inbox } from '../handler-state/once.ts';
import { loadHandlerState, type ReaderNotes, type RemoteHandlerState } from '../handler-state/state-adapter.ts';
import { isFinal } from '../handler-state/store-backoff.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { LocalProjection } from '../projections/local-projection.ts';
import {
  defineProjection,
  type Projection,
  type ProjectionDefinition,
  subscriptionName,
} from '../projections/projection.ts';
import { loadProjections, projectionsFor, type RemoteProjections } from '../projections/projection-adapter.ts';
import { Beginnings, beginningsFile } from '../subscriptions/beginnings.ts';
import { callOf } from '../subscriptions/call.ts';
import { Feed } from '../subscriptions/feed.ts';
import type { HandlerFn } from '../subscriptions/handler-code.ts';
import type { AnySubscribeOptions, SubscribeOptions, SubscriptionStatus } from '../subscriptions/handlers.ts';
import { checkRange, type RangeOptions } from '../subscriptions/reading-options.ts';
import { type ReplayOptions, type ReplayProgress, replay } from '../subscriptions/replay.ts';
import { RunningSubscriptions } from '../subscriptions/running-subscriptions.ts';
import { resolveSubscription, type SubscriptionSettings } from '../subscriptions/settings.ts';
import { StartPositions } from '../subscriptions/start-positions.ts';
import { RunningSubscription } from '../subscriptions/subscription.ts';
import type { BeginOptions } from '../subscriptions/subscription-parts.ts';
import { noteUndeclared } from '../subscriptions/undeclared.ts';
import { WorkerPool } from '../subscriptions/worker-pool.ts';
import { messagesOwner } from '../wire/care.ts';
import { checkForget, type ForgottenHandler, forget } from './forget-handler.ts';
import { type HandlerRequest, Requests } from './handlers-requests.ts';
import type { StageParts } from './handlers-stage-parts.ts';
import { carryOut, elsewhereFile } from './offline-handlers.ts';

/** What a store elsewhere offers to handlers. */
interface RemoteParts {
  readonly state?: RemoteHandlerState | undefined;
  readonly projections?: RemoteProjections | undefined;
}

/** What a folder or a small file takes. */
const folderBytes = 4096;

export class HandlerStage {
  readonly deadLetters: DeadLetters;
  readonly starts: StartPositions;
  private readonly parts: StageParts;
  /** What the store's adapter offers. */
  private readonly adapter: RemoteParts;
  private readonly feed: Feed;
  private readonly subscriptions: RunningSubscriptions;
  /** The store's, if it keeps what handlers need. */
  readonly remote: HandlerStateStore | undefined;
  /** Where handlers keep what must survive; and what is kept on this machine in any case. */
  readonly handlerState: StateTables;
  readonly local: StateTables;
  private readonly readers: ReaderNotes | undefined;
  readonly messageBox: MessageBox;
  /** What was open at the start, if the process had ended in the middle. */
  readonly care: InHand;
  /** The deliveries of messages, once they have begun. */
  lanes: LaneControl | undefined;
  private readonly inbox: Inbox;
  private readonly requests: Requests;
  private readonly projections = new Map<string, Projection<any>>();
  private readonly beginnings: Beginnings | undefined;
  private isFollowing = false;
  private readonly closing = new AbortController();
  isClosed = false;

  private constructor(parts: StageParts, adapter: RemoteParts) {
    this.parts = parts;
    this.adapter = adapter;
    const { state } = adapter;
    const { logId, options } = parts;
    const settings = parts.store?.settings;
    this.remote = state?.tables(settings, logId, options.connections);
    this.beginnings = state && new Beginnings(beginningsFile(parts.folder), logId);
    this.starts = new StartPositions(parts.history, parts.control, dirname(parts.folder), this.beginnings);
    this.feed = new Feed(parts.history, parts.control, (error) =>
      parts.logger.error({ err: error }, 'reading for the subscriptions failed; it is tried again'),
    );
    this.readers = state?.readers(settings, logId, (error) =>
      parts.logger.warn({ err: error }, 'the store does not know how far readers on this machine are; tried again'),
    );
    this.local = this.tablesIn(async () => {
      this.makeFolder();
      const lastPosition = parts.control.position('written');
      const opened = await LmdbTables.open(parts.folder, { logId, lastPosition });
      return this.readers?.follow(opened) ?? opened;
    });
    this.handlerState = this.remote === undefined ? this.local : this.tablesIn(async () => this.remote!);
    this.inbox = new Inbox(this.handlerState, parts.options.inboxTtlMs, () => parts.control.keyClock());
    this.requests = new Requests(
      parts.folder,
      (request, onProgress, signal) => this.carryOut(request, onProgress, signal),
      (error) => parts.logger.warn({ err: error }, 'requests of other processes cannot be served, retrying'),
    );
    this.messageBox = new MessageBox(this.local, () => this.hasLocal());
    this.care = new InHand(this.local, (error) =>
      parts.logger.warn({ err: error }, 'what is in hand could not be marked; it is executed all the same'),
    );
    this.subscriptions = new RunningSubscriptions({
      handlerState: this.handlerState,
      feed: this.feed,
      starts: this.starts,
      care: this.care,
      logger: parts.logger,
      closing: this.closing.signal,
      prepare: () => this.prepare(),
      runtimeHasFailed: parts.runtimeHasFailed,
    });
    const messages = new MessageLetters(this.messageBox, () => this.lanes);
    this.deadLetters = new DeadLetters(this.handlerState, this.subscriptions, parts.definitions, messages);
  }

  static async open(parts: StageParts): Promise<HandlerStage> {
    const { store } = parts;
    if (store === undefined) return new HandlerStage(parts, {});
    return new HandlerStage(parts, { state: await loadHandlerState(store), projections: await loadProjections(store) });
  }

  private hasLocal(): boolean {
    return existsSync(dataFileOf(this.parts.folder));
  }

  /** The process has ended in the middle, the log at `lastPosition`: what was open is executed with care, but not these messages. */
  async recover(lastPosition: number, carriedOut: Pick<ReadonlySet<string>, 'has'>): Promise<void> {
    const prefix = keyOf(messagesOwner, '');
    const isDone = (key: string): boolean => key.startsWith(prefix) && carriedOut.has(key.slice(prefix.length));
    const inHand = await this.care.load(lastPosition, this.hasLocal(), isDone);
    const found = { count: inHand.length, suspects: inHand.slice(0, 20).map((key) => key.replace('\0', ': ')) };
    if (found.count > 0) this.parts.logger.warn(found, 'the process has ended while these were executed');
  }

  private tablesIn(open: () => Promise<HandlerStateStore>): StateTables {
    const { logger, options, waitTimeoutMs } = this.parts;
    const handlerState = new StateTables(open, {
      ...options,
      waitTimeoutMs,
      onError: (error) =>
        logger.error({ err: error }, `keeping what handlers did failed${isFinal(error) ? '' : '; it is tried again'}`),
      onRefused: (entry, error) =>
        logger.error({ err: error, ...entry }, 'the store refuses an entry of the handlers, it was left out'),
    });
    handlerState.onBehind = (error) => this.subscriptions.fail(handlerState, error);
    handlerState.onRoom = () => this.subscriptions.wake();
    return handlerState;
  }

  subscribe(options: AnySubscribeOptions): RunningSubscription {
    const { moduleRoots } = this.parts;
    const { moduleMs } = this.parts;
    const settings = { ...resolveSubscription(options, this.definitions, moduleRoots), moduleMs };
    if (settings.name.startsWith(PROJECTION_PREFIX)) {
      const reason = `'${settings.name}' begins with '${PROJECTION_PREFIX}', as names of projections' own subscriptions do`;
      throw new TrunklineError('InvalidOptions', { option: 'name', reason });
    }
    noteUndeclared(settings.name, settings, this.parts);
    if (settings.module === undefined) return this.begin(settings, callOf(settings, settings.handle as HandlerFn));
    this.subscriptions.checkFree(settings.name);
    const pool = new WorkerPool(settings.module, settings.threads, moduleMs, moduleRoots);
    const ends = { ready: () => pool.load(), closed: () => pool.close() };
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
    this.makeFolder();
    const { state } = this.adapter;
    if (state !== undefined) onDisk(this.parts.folder, (folder) => touchPrivate(elsewhereFile(folder, state.kind)));
  }

  /** Other processes may ask from now on. */
  serveRequests(): void {
    if (this.closing.signal.aborted) return;
    try {
      this.makeFolder();
    } catch (error) {
      this.parts.logger.warn({ err: error }, 'requests of other processes cannot be served, retrying');
    }
    this.requests.start();
  }

  private makeFolder(): void {
    onDisk(this.parts.folder, (folder) => makePrivateFolder(folder));
  }

  find(name: string): RunningSubscription {
    return this.subscriptions.named(name);
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
    const { remote, handlerState, local, beginnings, subscriptions } = this;
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
    const { starts } = this;
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
    return this.handlerState.get(effectTable(table), key);
  }

  /** What effects have put into a table, in key order. */
  async effects(table: string, range: RangeOptions = {}): Promise<{ key: string; value: unknown }[]> {
    checkTable(table);
    return this.handlerState.range(effectTable(table), checkRange('effects', range) as KeyRange);
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
    this.handlerState.lastCall();
    this.local.lastCall();
    for (const all of [this.projections, this.subscriptions]) {
      const ends = [...all.values()].map((one) => steps.take(one.name, () => one.close()));
      await Promise.all(ends);
    }
    await steps.take('requests of other processes', () => requestsClosed);
    this.feed.close();
    this.care.forget();
    this.isClosed = true;
    await this.handlerState.durable().catch(() => {}); // it has been reported, and is tried once more
    steps.end();
  }

  /** Give back where it is all kept, once nothing more comes. Nothing is written behind it, whatever still goes on. */
  async closeTables(): Promise<void> {
    const steps = new StopSteps();
    this.isClosed = true;
    this.beginnings?.close();
    await steps.take('answers to other processes', () => this.requests.end());
    await steps.take('what handlers keep', () => this.handlerState.close());
    if (this.local !== this.handlerState) await steps.take('what handlers keep here', () => this.local.close());
    await steps.take('what the store knows of readers', () => this.readers?.close());
    steps.end();
  }

  /** What `closeTables` waits for is not waited for any longer: nothing more is written from now on. */
  cut(): void {
    this.readers?.cut();
    for (const handlerState of [this.handlerState, this.local]) handlerState.cut();
  }
}

printAs(RunningSubscription, (one) => statusLine('Subscription', one));
printAs<Projection<unknown>>(LocalProjection, (one) => statusLine('Projection', one));

/** @throws DiskFull */
function onDisk(folder: string, make: (folder: string) => void): void {
  try {
    make(folder);
  } catch (error) {
    throw isDiskFull(error) ? diskFull(folder, folderBytes, error) : error;
  }
}
