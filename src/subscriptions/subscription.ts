// One durable subscription: takes events in log order, from the store and then from the feed, and keeps its checkpoint.
// Owned by the host thread.
// What it does at a time, and where that leads: `subscription-mode.ts`.
// Invariants: the checkpoint says no more than what is done, and moves in one commit with what that has caused in the tables.
// Nothing is taken that is not synced; nothing is left out between the store, the log and the feed.

import { performance } from '../base/clock.ts';
import { isError, TrunklineError } from '../base/errors.ts';
import { unawaited } from '../base/guarded.ts';
import { awaitedOutside } from '../base/refusable-call.ts';
import { detached } from '../base/running.ts';
import { promised } from '../base/thenable.ts';
import { checkpointTable } from '../handler-state/checkpoint.ts';
import type { Checkpointed } from '../handler-state/commit-loop.ts';
import { handledTable } from '../handler-state/completion-records.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import { withStoreBackoff } from '../handler-state/store-backoff.ts';
import type { StoredEvent } from '../model/event.ts';
import { EventDispatcher } from './event-dispatcher.ts';
import type { Follower } from './feed.ts';
import type { From, Subscription, SubscriptionStatus } from './handlers.ts';
import { HistoryPlace } from './history-place.ts';
import { keptStart } from './kept-start.ts';
import { ModeMachine } from './mode-machine.ts';
import { Nudge } from './nudge.ts';
import type { WaitOptions } from './reading-options.ts';
import { checkFrom, type SubscriptionSettings } from './settings.ts';
import { StoreWait } from './store-wait.ts';
import type { Mode } from './subscription-mode.ts';
import type { SubscriptionParts } from './subscription-parts.ts';
import { checkpointOf, statusOf } from './subscription-status.ts';
import { type Wait, Waiters, waitFor } from './waiters.ts';
import { compareFilter } from './widened.ts';

const closeGraceMs = 10_000;
const idleCheckpointMs = 10_000; // so often one that gets no events moves its checkpoint

export class RunningSubscription implements Subscription, Follower, Checkpointed {
  readonly name: string;
  readonly types: ReadonlySet<string> | undefined;
  readonly dispatcher: EventDispatcher;
  readonly settings: SubscriptionSettings;
  private readonly parts: SubscriptionParts;
  /** Where it begins without a checkpoint: `now` is the moment at which it was made. */
  private readonly from: Exclude<From, 'now'>;
  private readonly waiters: Waiters;
  private readonly running: Promise<void>;
  private readonly modes = new ModeMachine((from, to) => this.changed(from, to));
  private readonly place: HistoryPlace;
  private touchedAt = 0;
  private failure: unknown;
  private closing: Promise<void> | undefined;
  private readonly nudge = new Nudge();
  private readonly storeWait: StoreWait;
  /** Resolves when the checkpoint has been read; rejects when that fails, or it is closed before. */
  private readonly loaded = Promise.withResolvers<void>();

  constructor(settings: SubscriptionSettings, parts: SubscriptionParts) {
    this.settings = settings;
    this.parts = parts;
    this.from = parts.starts.fixed(settings.from);
    this.name = settings.name;
    this.types = settings.types;
    this.place = new HistoryPlace(() => parts.starts.reader(settings), {
      mayTake: () => this.mayTake(),
      take: (event) => this.take(event),
      passed: (position) => this.passed(position),
    });
    const report = (error: unknown): void => parts.onError(error, { handler: settings.name });
    this.storeWait = new StoreWait(this.nudge, () => this.closing !== undefined, report);
    const trouble = (): unknown => this.storeWait.current;
    this.waiters = new Waiters(settings.name, () => this.position, trouble);
    this.dispatcher = new EventDispatcher(settings, parts.handlerState, parts.care, parts.call, {
      touched: () => parts.handlerState.touch(this),
      advanced: () => this.advanced(),
      halted: (error) => this.halted(error),
      failed: (error, details) => parts.onError(error, { handler: settings.name, ...details }),
      unready: parts.onUnready,
      runtimeHasFailed: parts.runtimeHasFailed,
    });
    this.loaded.promise.catch(() => {}); // callers learn it when they ask
    this.running = this.run().catch((error: unknown) => this.fail(error));
  }

  private changed(from: Mode, to: Mode): void {
    if (from === 'live') this.parts.feed.leave(this);
    if (to === 'live') this.parts.feed.join(this); // which may hand over events in this turn
    this.nudge.wake();
  }

  private async run(): Promise<void> {
    await withStoreBackoff(() => this.load(), this.storeWait);
    const { ready } = this.parts;
    if (ready !== undefined) await withStoreBackoff(ready, this.storeWait, () => true);
    while (this.closing === undefined) {
      if (!this.mayTake()) await this.nudge.wait();
      else if (this.place.next > this.parts.feed.frontier()) await this.follow();
      else await withStoreBackoff(() => this.catchUp(), this.storeWait);
    }
  }

  private async load(): Promise<void> {
    const { handlerState: state, volatile } = this.parts;
    const kept = await keptStart(this.settings, this.from, this.parts);
    const requeued = volatile ? [] : await this.dispatcher.parked.load();
    if (!volatile) await compareFilter(this.settings, state, kept.isNew ? undefined : kept.low, this.parts.onWidened);
    this.goOnFrom(kept.low, kept.done);
    this.modes.setPaused(kept.isPaused);
    this.modes.goOn();
    this.waiters.advance();
    // In one turn: the checkpoint says what the entries said.
    for (const key of kept.entries) state.stage(handledTable, key, undefined);
    if (kept.isNew || kept.entries.length > 0) state.touch(this);
    for (const aggregate of requeued) unawaited(this.dispatcher.asked.requeue(aggregate));
    this.loaded.resolve();
  }

  private goOnFrom(low: number, done: readonly number[]): void {
    this.dispatcher.begin(low, done);
    this.readFrom(low);
  }

  private readFrom(low: number): void {
    this.place.goOnBehind(low);
    this.waiters.advance();
  }

  private mayTake(): boolean {
    return this.closing === undefined && this.modes.takes && this.dispatcher.hasRoom;
  }

  /** One page. */
  private async catchUp(): Promise<void> {
    if (!(await this.place.page(this.parts.feed.frontier()))) await this.nudge.wait(1); // nothing to be read yet
  }

  /** Live, until there is no room for what the feed offers. */
  private async follow(): Promise<void> {
    this.modes.transition('live');
    while (this.modes.isLive && this.dispatcher.hasRoom) await this.nudge.wait();
    if (this.modes.isLive) this.modes.transition('catching up');
  }

  /** From the feed: an event. */
  offer(event: StoredEvent): void {
    if (!this.modes.isLive || event.position < this.place.next) return;
    if (this.dispatcher.hasRoom) return this.take(event);
    this.modes.transition('catching up');
  }

  /** Nothing is left up to here. */
  passed(position: number): void {
    this.place.passed(position);
    this.dispatcher.passed(position);
    this.waiters.advance();
    const now = performance.now();
    if (now - this.touchedAt < idleCheckpointMs) return;
    this.touchedAt = now;
    this.parts.handlerState.touch(this);
  }

  private take(event: StoredEvent): void {
    this.place.took(event.position);
    this.dispatcher.take(event);
  }

  private advanced(): void {
    this.waiters.advance();
    this.nudge.wake();
  }

  private halted(error: unknown): void {
    if (this.modes.mode !== 'stopped' && !this.modes.transition('stopped')) return;
    this.failure = error;
    unawaited(this.stopped(error));
  }

  /** What still ran has ended: nothing goes on before it is resumed. */
  private async stopped(error: unknown): Promise<void> {
    await this.dispatcher.whenStill();
    if (this.failure === error) this.waiters.fail(error);
  }

  /** From the tables: it is time to say how far it has come. */
  stageCheckpoint(): void {
    if (this.parts.volatile || this.place.next === 0) return;
    const kept = checkpointOf(this.dispatcher, this.modes.isPaused);
    this.parts.handlerState.stage(checkpointTable, this.settings.keptAs, kept);
  }

  get position(): number {
    return this.dispatcher.tracker.low;
  }

  status(): SubscriptionStatus {
    const trouble =
      this.failure ?? this.storeWait.current ?? (this.parts.volatile ? undefined : this.parts.handlerState.trouble);
    return statusOf(this.name, this.modes.state, this.dispatcher, this.parts.feed.synced, trouble);
  }

  caughtUpTo(target: number | { readonly position: number }, options: WaitOptions = {}): Promise<void> {
    return promised(() => {
      const wait = waitFor(target, options);
      const call = `caughtUpTo(${wait.position}) of '${this.name}'`;
      return awaitedOutside(this.dispatcher.code.upTo(wait.position), call, this.comeTo(wait));
    });
  }

  private async comeTo({ position, timeoutMs, signal }: Wait): Promise<void> {
    if (this.modes.isOver) throw this.ended();
    if (this.position >= position && this.modes.mode !== 'starting') return;
    if (this.modes.mode === 'stopped' && this.dispatcher.isStill) throw this.failure;
    return this.waiters.wait(position, timeoutMs, signal);
  }

  pause(): Promise<void> {
    return this.control('pause', async () => {
      this.modes.setPaused(true);
      if (this.modes.mode !== 'stopped') await this.leaveOff();
      await this.kept();
    });
  }

  resume(): Promise<void> {
    return this.control('resume', async () => {
      this.modes.setPaused(false);
      if (this.modes.mode === 'stopped') await this.leaveOff(); // what it was halted by is taken again
      await this.kept();
    });
  }

  /** What is executed ends, and is not tried again; what has not been handled then is taken again, once it goes on. */
  private async leaveOff(): Promise<void> {
    const { dispatcher } = this;
    dispatcher.hold();
    await dispatcher.whenStill();
    this.checkOpen();
    if (this.modes.transition('held')) this.failure = undefined; // it had stopped
    this.goOnFrom(dispatcher.tracker.low, dispatcher.tracker.done());
  }

  reset(from: From): Promise<void> {
    return promised(() => {
      const { starts, volatile } = this.parts;
      const first = starts.fixed(checkFrom(from));
      starts.checkPlace(first); // at once, and without holding anything up
      return this.control('reset', async () => {
        const low = starts.begun(this.settings.keptAs, (await starts.positionOf(first)) - 1, volatile);
        await this.leaveOff();
        this.dispatcher.beginElsewhere(low);
        this.readFrom(low);
        return this.kept();
      });
    });
  }

  /** What is asked is done when the checkpoint has been read; nothing is taken from now on until it is done. */
  private control(what: 'pause' | 'resume' | 'reset', action: () => Promise<void>): Promise<void> {
    const work = this.inTime('control', this.whileHeld(action));
    if (what === 'resume' && this.modes.mode !== 'stopped') return work; // it waits for nothing that runs
    return awaitedOutside(this.dispatcher.code.upTo(Number.POSITIVE_INFINITY), `${what}() of '${this.name}'`, work);
  }

  private inTime(what: string, work: Promise<void>): Promise<void> {
    return this.parts.handlerState.inTime(`${what} of '${this.name}'`, work, () => this.storeWait.current);
  }

  private async whileHeld(action: () => Promise<void>): Promise<void> {
    this.checkOpen();
    await this.modes.whileHeld(async () => {
      await this.loaded.promise;
      this.checkOpen();
      await action();
    });
  }

  /** @throws RuntimeClosed, what it has failed by */
  private checkOpen(): void {
    if (this.modes.isOver) throw this.ended();
    if (this.closing !== undefined) throw new TrunklineError('RuntimeClosed', { state: 'closing' });
  }

  private kept(): Promise<void> {
    this.parts.handlerState.touch(this);
    return this.parts.handlerState.durable();
  }

  /** Resolves when what its handler has put into tables is on disk. */
  effectsKept(): Promise<void> {
    return this.inTime('effects', this.parts.handlerState.durable());
  }

  /** What runs has `graceMs` to end. */
  close(graceMs: number = closeGraceMs): Promise<void> {
    this.closing ??= detached((ms) => this.end(ms), graceMs);
    return awaitedOutside(this.dispatcher.code, `close() of '${this.name}'`, this.closing);
  }

  /** The same, also where it is closing already: what runs has no longer than this from now. */
  endWithin(graceMs: number): void {
    if (this.closing === undefined) unawaited(this.close(graceMs));
    else this.dispatcher.endWithin(graceMs);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private async end(graceMs: number): Promise<void> {
    this.modes.hold();
    this.nudge.end();
    await this.dispatcher.close(graceMs);
    await this.running;
    if (this.place.next > 0) this.parts.handlerState.touch(this);
    const report = (error: unknown): void => this.parts.onError(error, { handler: this.name });
    await this.parts.handlerState.durableWithin(closeGraceMs, report);
    this.modes.transition('closed');
    this.giveUpWaiting(this.ended());
    await this.parts.onClosed();
  }

  private ended(): unknown {
    return this.failure ?? new TrunklineError('RuntimeClosed', { state: 'closed' });
  }

  /** It can go on no more in this run; from what keeps its checkpoint, too. */
  fail(error: unknown): void {
    if (this.closing !== undefined && isError(error, 'RuntimeClosed')) return;
    this.dispatcher.hold();
    this.failure = error;
    this.modes.transition('failed');
    this.parts.onError(error, { handler: this.name });
    this.giveUpWaiting(error);
  }

  /** Nothing that is waited for will come. */
  private giveUpWaiting(error: unknown): void {
    this.loaded.reject(error);
    this.waiters.fail(error);
  }

  isKeptIn(handlerState: StateTables): boolean {
    return this.parts.handlerState === handlerState && !this.parts.volatile;
  }

  /** Look again: there may be room. */
  wake(): void {
    this.nudge.wake();
  }
}
