// One durable subscription: takes events in log order, from the store and then from the feed, and keeps its checkpoint.
// Owned by the caller's thread.
//   starting → catching up ⇄ live      paused: takes nothing      stopped: halted by an event that cannot be handled
// Invariants: the checkpoint says no more than what is done, and moves in one commit with what that has caused in the tables.
// Nothing is taken that is not synced; nothing is left out between the store, the log and the feed.

import { performance, yieldToLoop } from '../clock.ts';
import { isError, TrunklineError } from '../errors.ts';
import type { StoredEvent } from '../event.ts';
import { unawaited } from '../guarded.ts';
import type { PageReader } from '../store/history.ts';
import { isThenable } from '../thenable.ts';
import { type CheckpointRecord, checkpointTable } from './checkpoint.ts';
import { type Follower, sliceMs } from './feed.ts';
import { doneAbove, handledTable } from './handled.ts';
import type { From, Subscription, SubscriptionState, SubscriptionStatus } from './handlers.ts';
import { Handling } from './handling.ts';
import { Nudge } from './nudge.ts';
import { type Patient, patiently } from './patience.ts';
import { checkWaitFields, type WaitOptions } from './reading-options.ts';
import { checkFrom, type SubscriptionSettings } from './settings.ts';
import type { SubscriptionParts } from './subscription-parts.ts';
import { checkpointOf, statusOf } from './subscription-status.ts';
import type { Checkpointed, Tables } from './tables.ts';
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
  private state: SubscriptionState = 'starting';
  private reader: PageReader | undefined;
  /** The next position to be looked at. */
  private next = 1;
  private isFollowing = false;
  private isPaused = false;
  private holds = 0;
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
    this.state = 'catching up';
    this.waiters.advance();
    // In one turn: the checkpoint says what the entries said.
    for (const key of above.entries) tables.stage(handledTable, key, undefined);
    if (kept === undefined || above.entries.length > 0) tables.touch(this);
    for (const aggregate of requeued) unawaited(this.handling.requeue(aggregate));
    this.loaded.resolve();
  }

  private goOnFrom(low: number, done: readonly number[]): void {
    this.handling.begin(low, done);
    this.next = low + 1;
    this.reader = undefined;
    this.waiters.advance();
  }

  private mayTake(): boolean {
    return !this.isPaused && this.holds === 0 && !this.handling.isHeld && this.handling.hasRoom;
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

  /** Live, until the feed goes too fast or somebody wants something else. */
  private async follow(): Promise<void> {
    this.state = 'live';
    this.isFollowing = true;
    this.parts.feed.join(this);
    while (this.isFollowing && this.mayTake() && this.closing === undefined) await this.nudge.wait();
    this.leave();
  }

  private leave(): void {
    if (!this.isFollowing) return;
    this.isFollowing = false;
    this.parts.feed.leave(this);
    if (this.state === 'live') this.state = 'catching up';
  }

  /** From the feed: an event. */
  offer(event: StoredEvent): void {
    if (!this.isFollowing || event.position < this.next) return;
    if (this.mayTake()) return this.take(event);
    this.leave();
    this.nudge.wake();
  }

  /** From the feed: nothing is left up to here. */
  passed(position: number): void {
    if (position >= this.next) this.next = position + 1;
    this.handling.tracker.scanned(position);
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
    this.failure = error;
    this.state = 'stopped';
    this.leave();
    this.nudge.wake();
    unawaited(this.stopped(error));
  }

  /** What still ran has ended: nothing goes on before somebody resumes it. */
  private async stopped(error: unknown): Promise<void> {
    await this.handling.whenStill();
    if (this.failure === error) this.waiters.fail(error);
  }

  /** From the tables: it is time to say how far it has come. */
  stageCheckpoint(): void {
    if (this.parts.volatile || this.state === 'starting') return;
    this.parts.tables.stage(checkpointTable, this.name, checkpointOf(this.handling, this.isPaused));
  }

  get position(): number {
    return this.handling.tracker.low;
  }

  status(): SubscriptionStatus {
    const isReading = this.state === 'live' || this.state === 'catching up';
    const state = isReading && this.isPaused ? 'paused' : this.state;
    const trouble = this.failure ?? this.trouble ?? (this.parts.volatile ? undefined : this.parts.tables.trouble);
    return statusOf(this.name, state, this.handling, this.parts.feed.synced, trouble);
  }

  async caughtUpTo(target: number | { readonly position: number }, options: WaitOptions = {}): Promise<void> {
    checkWaitFields(options);
    const { timeoutMs = 30_000, signal } = options;
    const position = typeof target === 'number' ? target : target?.position;
    checkWait(position, timeoutMs, signal);
    if (this.state === 'failed' || this.state === 'closed') throw this.ended();
    if (this.position >= position && this.state !== 'starting') return;
    if (this.state === 'stopped' && this.handling.isStill) throw this.failure;
    return this.waiters.wait(position, timeoutMs, signal);
  }

  // ——— what may be asked of it

  pause(): Promise<void> {
    return this.control(async () => {
      this.isPaused = true;
      if (this.state !== 'stopped') await this.leaveOff();
      await this.kept();
    });
  }

  resume(): Promise<void> {
    return this.control(async () => {
      this.isPaused = false;
      if (this.state === 'stopped') await this.leaveOff(); // what it was halted by is taken again
      await this.kept();
    });
  }

  /** What is executed ends, and is not tried again; what has not been handled then is taken anew, once it goes on. */
  private async leaveOff(): Promise<void> {
    const { handling } = this;
    handling.hold();
    this.leave();
    await handling.whenStill();
    this.checkOpen();
    this.unhalt();
    this.goOnFrom(handling.tracker.low, handling.tracker.done());
  }

  async reset(from: From): Promise<void> {
    const first = this.parts.starts.fixed(checkFrom(from));
    await this.control(async () => {
      const { starts, volatile } = this.parts;
      const low = starts.begun(this.name, (await starts.positionOf(first)) - 1, volatile);
      await this.leaveOff();
      this.goOnFrom(low, []);
      this.handling.lastTaken = undefined;
      await this.kept();
    });
  }

  /** What is asked is done when the checkpoint has been read; nothing is taken from now on until it is done. */
  private async control(action: () => Promise<void>): Promise<void> {
    this.checkOpen();
    await this.inTime('control', this.whileHeld(action));
  }

  private inTime(what: string, work: Promise<void>): Promise<void> {
    return this.parts.tables.inTime(`${what} of '${this.name}'`, work, () => this.trouble);
  }

  private async whileHeld(action: () => Promise<void>): Promise<void> {
    this.holds++;
    this.nudge.wake();
    try {
      await this.loaded.promise;
      this.checkOpen();
      await action();
    } finally {
      this.holds--;
      this.nudge.wake();
    }
  }

  /** @throws RuntimeClosed, what it has failed by */
  private checkOpen(): void {
    if (this.state === 'failed' || this.state === 'closed') throw this.ended();
    if (this.closing !== undefined) throw new TrunklineError('RuntimeClosed', { state: 'closing' });
  }

  private unhalt(): void {
    this.handling.isHeld = false;
    this.failure = undefined;
    this.state = 'catching up';
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
    this.closing ??= this.end(graceMs);
    return this.closing;
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
    this.leave();
    this.nudge.end();
    await this.handling.close(graceMs);
    await this.running;
    if (this.state !== 'starting') this.parts.tables.touch(this);
    await this.parts.tables.durableWithin(closeGraceMs, (error) => this.parts.onError(error, { handler: this.name }));
    if (this.state !== 'failed') this.state = 'closed';
    this.giveUpWaiting(this.ended());
    await this.parts.onClosed();
  }

  private ended(): unknown {
    return this.failure ?? new TrunklineError('RuntimeClosed', { state: 'closed' });
  }

  /** It can go on no more in this run; from what keeps its checkpoint, too. */
  fail(error: unknown): void {
    if (this.closing !== undefined && isError(error, 'RuntimeClosed')) return;
    this.leave();
    this.handling.hold();
    this.failure = error;
    this.state = 'failed';
    this.parts.onError(error, { handler: this.name });
    this.giveUpWaiting(error);
    this.nudge.wake();
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
