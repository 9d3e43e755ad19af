// One durable subscription: takes events in log order, from the store and then from the feed, and keeps its checkpoint.
// Owned by the caller's thread.
// What it does at a time, and where that leads: `subscription-mode.ts`.
// Invariants: the checkpoint says no more than what is done, and moves in one commit with what that has caused in the tables.
// Nothing is taken that is not synced; nothing is left out between the store, the log and the feed.

import { performance, yieldToLoop } from '../base/clock.ts';
import { isError, TrunklineError } from '../base/errors.ts';
import { unawaited } from '../base/guarded.ts';
import { awaitedOutside, detached } from '../base/running.ts';
import { isThenable } from '../base/thenable.ts';
import { type CheckpointRecord, checkpointTable } from '../handler-state/checkpoint.ts';
import { doneAbove, handledTable } from '../handler-state/handled.ts';
import { type Patient, patiently } from '../handler-state/patience.ts';
import type { Checkpointed, Tables } from '../handler-state/tables.ts';
import type { StoredEvent } from '../model/event.ts';
import type { PageReader } from '../store/history.ts';
import { type Follower, sliceMs } from './feed.ts';
import type { From, Subscription, SubscriptionStatus } from './handlers.ts';
import { Handling } from './handling.ts';
import { Nudge } from './nudge.ts';
import { checkWaitFields, type WaitOptions } from './reading-options.ts';
import { checkFrom, type SubscriptionSettings } from './settings.ts';
import { type Mode, mayLead, stateOf } from './subscription-mode.ts';
import type { SubscriptionParts } from './subscription-parts.ts';
import { checkpointOf, statusOf } from './subscription-status.ts';
import { checkWait, Waiters } from './waiters.ts';
import { compareFilter } from './widened.ts';

const pageSize = 1000;
const closeGraceMs = 10_000;
const idleCheckpointMs = 10_000; // so often one that gets no events moves its checkpoint

export class RunningSubscription implements Subscription, Follower, Checkpointed {
  readonly name: string;
  readonly types: ReadonlySet<string> | undefined;
  readonly handling: Handling;
  private readonly settings: SubscriptionSettings;
  private readonly parts: SubscriptionParts;
  /** Where it begins without a checkpoint: `now` is the moment at which it was made. */
  private readonly from: Exclude<From, 'now'>;
  private readonly waiters: Waiters;
  private readonly running: Promise<void>;
  /** Changed by `transition` alone. */
  private mode: Mode = 'starting';
  private reader: PageReader | undefined;
  /** The next position to be looked at. */
  private next = 0; // 0: its checkpoint has not been read
  /** As it is kept with the checkpoint. */
  private isPaused = false;
  /** Requests of users that are not done. */
  private requests = 0;
  private touchedAt = 0;
  private failure: unknown;
  /** What reading waits for. */
  private trouble: unknown;
  private closing: Promise<void> | undefined;
  private readonly nudge = new Nudge();
  private readonly patience: Patient = {
    hasEnded: () => this.closing !== undefined,
    trouble: (error) => {
      this.trouble = error;
      if (error !== undefined) this.parts.onError(error, { handler: this.name });
    },
    pause: (ms) => this.nudge.wait(ms),
  };
  /** Resolves when the checkpoint has been read; rejects when that fails, or it is closed before. */
  private readonly loaded = Promise.withResolvers<void>();

  constructor(settings: SubscriptionSettings, parts: SubscriptionParts) {
    this.settings = settings;
    this.parts = parts;
    this.from = parts.starts.fixed(settings.from);
    this.name = settings.name;
    this.types = settings.types;
    this.waiters = new Waiters(
      settings.name,
      () => this.position,
      () => this.trouble,
    );
    this.handling = new Handling(settings, parts.tables, parts.care, parts.call, {
      touched: () => parts.tables.touch(this),
      advanced: () => this.advanced(),
      halted: (error) => this.halted(error),
      failed: (error, details) => parts.onError(error, { handler: settings.name, ...details }),
      runtimeHasFailed: parts.runtimeHasFailed,
    });
    this.loaded.promise.catch(() => {}); // those who ask are told
    this.running = this.run().catch((error: unknown) => this.fail(error));
  }

  /** False: its mode does not lead there, and stays. */
  private transition(to: Mode): boolean {
    const from = this.mode;
    if (!mayLead(from, to)) return false;
    this.mode = to;
    if (from === 'live') this.parts.feed.leave(this);
    if (to === 'live') this.parts.feed.join(this); // which may hand over events in this turn
    this.nudge.wake();
    return true;
  }

  /** Takes nothing more; one that has not begun, or has stopped, takes nothing as it is. */
  private hold(): void {
    if (this.mode !== 'starting' && this.mode !== 'stopped') this.transition('held');
  }

  /** Where it goes on. */
  private get unheld(): Mode {
    return this.requests > 0 ? 'held' : this.isPaused ? 'paused' : 'catching up';
  }

  // ——— reading

  private async run(): Promise<void> {
    await patiently(() => this.load(), this.patience);
    const { ready } = this.parts;
    if (ready !== undefined) await patiently(ready, this.patience, () => true);
    while (this.closing === undefined) {
      if (!this.mayTake()) await this.nudge.wait();
      else if (this.next > this.parts.feed.frontier()) await this.follow();
      else await patiently(() => this.catchUp(), this.patience);
    }
  }

  private async load(): Promise<void> {
    const { tables, starts, volatile } = this.parts;
    const kept = volatile
      ? undefined
      : starts.kept(this.name, (await tables.get(checkpointTable, this.name)) as CheckpointRecord | undefined);
    const low = kept?.low ?? (await starts.firstLow(this.name, this.from, volatile));
    const above = volatile ? { done: [], entries: [] } : await doneAbove(tables, this.name, low, kept?.done ?? []);
    const requeued = volatile ? [] : await this.handling.parked.load();
    if (!volatile) await compareFilter(this.settings, tables, kept?.low, this.parts.onWidened);
    this.goOnFrom(low, above.done);
    this.isPaused = kept?.paused ?? false;
    this.transition(this.unheld);
    this.waiters.advance();
    // In one turn: the checkpoint says what the entries said.
    for (const key of above.entries) tables.stage(handledTable, key, undefined);
    if (kept === undefined || above.entries.length > 0) tables.touch(this);
    for (const aggregate of requeued) unawaited(this.handling.requeue(aggregate));
    this.loaded.resolve();
  }

  private goOnFrom(low: number, done: readonly number[]): void {
    this.handling.begin(low, done);
    this.readFrom(low);
  }

  private readFrom(low: number): void {
    this.next = low + 1;
    this.reader = undefined;
    this.waiters.advance();
  }

  private mayTake(): boolean {
    return (this.mode === 'catching up' || this.mode === 'live') && this.handling.hasRoom;
  }

  /** One page. */
  private async catchUp(): Promise<void> {
    const { feed, starts } = this.parts;
    this.reader ??= starts.reader(this.settings);
    const { reader } = this;
    const found = reader.page(this.next, feed.frontier(), pageSize);
    const page = isThenable(found) ? await found : found;
    if (page === undefined) return this.nudge.wait(1);
    let started = performance.now();
    for (let i = 0; i < page.events.length; i++) {
      if (!this.mayTake() || this.closing || reader !== this.reader) return;
      this.take(page.events[i]!);
      if ((i & 15) !== 15 || performance.now() - started < sliceMs) continue;
      await yieldToLoop();
      started = performance.now();
    }
    if (reader === this.reader) this.passed(page.next - 1);
    await yieldToLoop();
  }

  /** Live, until there is no room for what the feed offers. */
  private async follow(): Promise<void> {
    this.transition('live');
    while (this.isLive && this.handling.hasRoom) await this.nudge.wait();
    if (this.isLive) this.transition('catching up');
  }

  private get isLive(): boolean {
    return this.mode === 'live';
  }

  /** From the feed: an event. */
  offer(event: StoredEvent): void {
    if (!this.isLive || event.position < this.next) return;
    if (this.handling.hasRoom) return this.take(event);
    this.transition('catching up');
  }

  /** From the feed: nothing is left up to here. */
  passed(position: number): void {
    if (position >= this.next) this.next = position + 1;
    this.handling.passed(position);
    this.waiters.advance();
    const now = performance.now();
    if (now - this.touchedAt < idleCheckpointMs) return;
    this.touchedAt = now;
    this.parts.tables.touch(this);
  }

  private take(event: StoredEvent): void {
    this.next = event.position + 1;
    this.handling.take(event);
  }

  // ——— where it stands

  private advanced(): void {
    this.waiters.advance();
    this.nudge.wake();
  }

  private halted(error: unknown): void {
    if (this.mode !== 'stopped' && !this.transition('stopped')) return;
    this.failure = error;
    unawaited(this.stopped(error));
  }

  /** What still ran has ended: nothing goes on before it is resumed. */
  private async stopped(error: unknown): Promise<void> {
    await this.handling.whenStill();
    if (this.failure === error) this.waiters.fail(error);
  }

  /** From the tables: it is time to say how far it has come. */
  stageCheckpoint(): void {
    if (this.parts.volatile || this.next === 0) return;
    this.parts.tables.stage(checkpointTable, this.name, checkpointOf(this.handling, this.isPaused));
  }

  get position(): number {
    return this.handling.tracker.low;
  }

  status(): SubscriptionStatus {
    const state = stateOf(this.mode, this.isPaused);
    const trouble = this.failure ?? this.trouble ?? (this.parts.volatile ? undefined : this.parts.tables.trouble);
    return statusOf(this.name, state, this.handling, this.parts.feed.synced, trouble);
  }

  async caughtUpTo(target: number | { readonly position: number }, options: WaitOptions = {}): Promise<void> {
    checkWaitFields(options);
    const { timeoutMs = 30_000, signal } = options;
    const position = typeof target === 'number' ? target : target?.position;
    checkWait(position, timeoutMs, signal);
    if (this.mode === 'failed' || this.mode === 'closed') throw this.ended();
    if (this.position >= position && this.mode !== 'starting') return;
    if (this.mode === 'stopped' && this.handling.isStill) throw this.failure;
    const wait = this.waiters.wait(position, timeoutMs, signal);
    return awaitedOutside(this.handling.code.upTo(position), `caughtUpTo(${position}) of '${this.name}'`, wait);
  }

  pause(): Promise<void> {
    return this.control('pause', async () => {
      this.isPaused = true;
      if (this.mode !== 'stopped') await this.leaveOff();
      await this.kept();
    });
  }

  resume(): Promise<void> {
    return this.control('resume', async () => {
      this.isPaused = false;
      if (this.mode === 'stopped') await this.leaveOff(); // what it was halted by is taken again
      await this.kept();
    });
  }

  /** What is executed ends, and is not tried again; what has not been handled then is taken anew, once it goes on. */
  private async leaveOff(): Promise<void> {
    const { handling } = this;
    handling.hold();
    await handling.whenStill();
    this.checkOpen();
    if (this.transition('held')) this.failure = undefined; // it had stopped
    this.goOnFrom(handling.tracker.low, handling.tracker.done());
  }

  reset(from: From): Promise<void> {
    const place = (async () => this.parts.starts.fixed(checkFrom(from)))();
    place.catch(() => {}); // the request below rejects with it
    return this.control('reset', async () => {
      const first = await place;
      const { starts, volatile } = this.parts;
      const low = starts.begun(this.name, (await starts.positionOf(first)) - 1, volatile);
      await this.leaveOff();
      this.handling.beginElsewhere(low);
      this.readFrom(low);
      await this.kept();
    });
  }

  /** What is asked is done when the checkpoint has been read; nothing is taken from now on until it is done. */
  private control(what: 'pause' | 'resume' | 'reset', action: () => Promise<void>): Promise<void> {
    const work = this.inTime('control', this.whileHeld(action));
    if (what === 'resume' && this.mode !== 'stopped') return work; // it waits for nothing that runs
    return awaitedOutside(this.handling.code.upTo(Number.POSITIVE_INFINITY), `${what}() of '${this.name}'`, work);
  }

  private inTime(what: string, work: Promise<void>): Promise<void> {
    return this.parts.tables.inTime(`${what} of '${this.name}'`, work, () => this.trouble);
  }

  private async whileHeld(action: () => Promise<void>): Promise<void> {
    this.checkOpen();
    this.requests++;
    this.hold();
    try {
      await this.loaded.promise;
      this.checkOpen();
      await action();
    } finally {
      this.requests--;
      if (this.mode === 'held') this.transition(this.unheld);
    }
  }

  /** @throws RuntimeClosed, what it has failed by */
  private checkOpen(): void {
    if (this.mode === 'failed' || this.mode === 'closed') throw this.ended();
    if (this.closing !== undefined) throw new TrunklineError('RuntimeClosed', { state: 'closing' });
  }

  /** Resolves when the checkpoint, as it is, is on disk. */
  private kept(): Promise<void> {
    this.parts.tables.touch(this);
    return this.parts.tables.durable();
  }

  /** Resolves when what its handler has put into tables is on disk. */
  effectsKept(): Promise<void> {
    return this.inTime('effects', this.parts.tables.durable());
  }

  /** What runs has `graceMs` to end. */
  close(graceMs: number = closeGraceMs): Promise<void> {
    this.closing ??= detached((ms) => this.end(ms), graceMs);
    return awaitedOutside(this.handling.code, `close() of '${this.name}'`, this.closing);
  }

  /** The same, also where it is closing already: what runs has no longer than this from now. */
  endWithin(graceMs: number): void {
    if (this.closing === undefined) unawaited(this.close(graceMs));
    else this.handling.endWithin(graceMs);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private async end(graceMs: number): Promise<void> {
    this.hold();
    this.nudge.end();
    await this.handling.close(graceMs);
    await this.running;
    if (this.next > 0) this.parts.tables.touch(this);
    await this.parts.tables.durableWithin(closeGraceMs, (error) => this.parts.onError(error, { handler: this.name }));
    this.transition('closed');
    this.giveUpWaiting(this.ended());
    await this.parts.onClosed();
  }

  private ended(): unknown {
    return this.failure ?? new TrunklineError('RuntimeClosed', { state: 'closed' });
  }

  /** It can go on no more in this run; from what keeps its checkpoint, too. */
  fail(error: unknown): void {
    if (this.closing !== undefined && isError(error, 'RuntimeClosed')) return;
    this.handling.hold();
    this.failure = error;
    this.transition('failed');
    this.parts.onError(error, { handler: this.name });
    this.giveUpWaiting(error);
  }

  /** Nothing that is waited for will come. */
  private giveUpWaiting(error: unknown): void {
    this.loaded.reject(error);
    this.waiters.fail(error);
  }

  isKeptIn(tables: Tables): boolean {
    return this.parts.tables === tables && !this.parts.volatile;
  }

  /** Look again: there may be room. */
  wake(): void {
    this.nudge.wake();
  }
}
