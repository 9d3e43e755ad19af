// One durable subscription: takes events in log order, from the store and then from the feed, hands them to its handler side
// by side, one at a time and in version order within an aggregate, and keeps its checkpoint. Owned by the caller's thread.
//
//   starting → catching up ⇄ live      paused: takes nothing      stopped: an event's attempts are used up, or no more room
//
// Invariants: an event is done when its handler has succeeded or it is parked; the checkpoint says no more than that, and
// moves in one commit with what the event has caused in the tables. Nothing is taken that is not synced.
import { setImmediate } from 'node:timers/promises';
import { isError, TrunklineError } from '../errors.ts';
import type { StoredEvent } from '../event.ts';
import { Attempts, type Call, type Outcome } from './attempts.ts';
import { Batches } from './batches.ts';
import { Breaker } from './breaker.ts';
import { type Feed, type Follower, sliceMs } from './feed.ts';
import type { From, Subscription, SubscriptionState, SubscriptionStatus } from './handlers.ts';
import { aggregateKey, type LetterError, letterError, letterEvent } from './letters.ts';
import { type Letter, Parked } from './parked.ts';
import { checkFrom, type SubscriptionSettings } from './settings.ts';
import { Slots } from './slots.ts';
import type { Starts } from './starts.ts';
import type { Checkpointed, Tables } from './tables.ts';
import { type CheckpointRecord, DoneRanges, type Pending, Tracker } from './tracker.ts';

export const checkpointTable = 'positions';

interface KeptCheckpoint extends CheckpointRecord {
  paused?: boolean;
}

/** What a subscription needs of its surroundings. */
export interface SubscriptionParts {
  tables: Tables;
  feed: Feed;
  starts: Starts;
  call: Call;
  /** Kept in memory only: begins anew with each run. */
  volatile?: boolean;
  onError(error: unknown, details: Record<string, unknown>): void;
  onClosed(): Promise<void> | void;
}

/** One event, or one letter, on its way through the handler. */
export interface Work {
  event: StoredEvent;
  pending: Pending | undefined;
  letter?: Letter;
  /** Told how a letter fared. */
  told?: (outcome: Outcome) => void;
}

export class RunningSubscription implements Subscription, Follower, Checkpointed {
  readonly name: string;
  readonly types: ReadonlySet<string> | undefined;
  readonly attempts: Attempts;
  readonly parked: Parked;
  private readonly settings: SubscriptionSettings;
  private readonly parts: SubscriptionParts;
  private readonly breaker: Breaker;
  private readonly slots: Slots;
  private readonly batches: Batches | undefined;
  /** Aggregates with an event under way: what waits behind it. */
  private readonly lanes = new Map<string, Work[]>();
  private readonly waiters = new Set<{ position: number; resolve(): void; reject(error: unknown): void }>();
  private tracker = new Tracker(0);
  private skipped = new DoneRanges([]);
  private state: SubscriptionState = 'starting';
  private isPaused = false;
  private holds = 0;
  private lastTaken: StoredEvent | undefined;
  private changed: () => void = () => {};
  private onIdle: (() => void)[] = [];
  private closing: Promise<void> | undefined;
  private failure: unknown;
  private handled = 0;
  private touchedAt = 0;
  private readonly running: Promise<void>;

  constructor(settings: SubscriptionSettings, parts: SubscriptionParts) {
    this.settings = settings;
    this.parts = parts;
    this.name = settings.name;
    this.types = settings.types;
    this.breaker = new Breaker(settings.breaker);
    this.slots = new Slots(settings.concurrency);
    this.attempts = new Attempts(settings, parts.call, parts.tables, this.breaker, this.slots);
    this.parked = new Parked(settings.name, parts.tables);
    this.batches =
      settings.batch &&
      new Batches(settings.batch, this.attempts, {
        mayBegin: (work) => this.mayBegin(work),
        done: (work) => this.done(work),
        exhausted: (work, error, attempts) => this.exhausted(work, error, attempts),
      });
    this.running = this.run().catch((error: unknown) => this.fail(error));
  }

  // ——— taking events

  private async run(): Promise<void> {
    await this.load();
    while (this.closing === undefined) {
      if (!this.mayTake()) {
        await this.change();
        continue;
      }
      if (this.next > this.parts.feed.frontier()) await this.follow();
      else await this.catchUp();
    }
  }

  private next = 1;
  private reader: ReturnType<Starts['reader']> | undefined;

  private async load(): Promise<void> {
    const { tables, starts, volatile } = this.parts;
    const kept = volatile ? undefined : ((await tables.get(checkpointTable, this.name)) as KeptCheckpoint | undefined);
    const low = kept?.low ?? (await starts.positionOf(this.settings.from)) - 1;
    this.begin(low, kept?.done ?? []);
    this.isPaused = kept?.paused ?? false;
    if (volatile) return;
    const requeued = await this.parked.load();
    if (kept === undefined) tables.touch(this);
    for (const aggregate of requeued) void this.requeue(aggregate);
  }

  private begin(low: number, done: readonly number[]): void {
    this.tracker = new Tracker(low);
    this.skipped = new DoneRanges(done);
    this.next = low + 1;
    this.reader = undefined;
  }

  private mayTake(): boolean {
    return !this.isPaused && this.holds === 0 && this.state !== 'stopped' && this.hasRoom();
  }

  private hasRoom(): boolean {
    return this.tracker.count < this.settings.window && !this.parts.tables.isFull;
  }

  /** One page. */
  private async catchUp(): Promise<void> {
    const { feed, starts } = this.parts;
    this.state = 'catching up';
    this.reader ??= starts.reader(this.settings);
    const found = this.reader.page(this.next, feed.frontier(), pageSize);
    const page = found instanceof Promise ? await found : found;
    if (page === undefined) return this.change(1);
    let started = performance.now();
    const { tracker } = this;
    for (let i = 0; i < page.events.length; i++) {
      if (!this.mayTake() || this.closing || tracker !== this.tracker) return;
      this.take(page.events[i]!);
      if ((i & 15) !== 15 || performance.now() - started < sliceMs) continue;
      await setImmediate();
      started = performance.now();
    }
    if (tracker !== this.tracker) return;
    this.passed(page.next - 1);
    await setImmediate();
  }

  /** Live, until the feed goes too fast or somebody wants something else. */
  private async follow(): Promise<void> {
    const { feed } = this.parts;
    this.state = 'live';
    this.isFollowing = true;
    feed.join(this);
    while (this.isFollowing && this.mayTake() && this.closing === undefined) await this.change();
    this.leave();
  }

  private isFollowing = false;

  private leave(): void {
    if (!this.isFollowing) return;
    this.isFollowing = false;
    this.parts.feed.leave(this);
    if (this.state === 'live') this.state = 'catching up';
  }

  /** @internal from the feed */
  offer(event: StoredEvent): boolean {
    if (!this.isFollowing) return false;
    if (!this.mayTake()) {
      this.leave();
      this.changed();
      return false;
    }
    if (event.position >= this.next) this.take(event); // it may have joined ahead of the feed
    return true;
  }

  /** @internal from the feed */
  passed(position: number): void {
    this.next = Math.max(this.next, position + 1);
    this.tracker.scanned(position);
    if (this.waiters.size > 0) this.advance();
    const now = performance.now();
    if (now - this.touchedAt < idleCheckpointMs) return;
    this.touchedAt = now;
    this.parts.tables.touch(this);
  }

  private take(event: StoredEvent): void {
    const { position } = event;
    this.next = position + 1;
    if (!this.wants(event)) return;
    if (this.skipped.has(position)) return this.tracker.passed(position);
    const { lanes, parked, tracker, breaker, slots } = this;
    this.lastTaken = event;
    this.parts.tables.touch(this);
    if (this.batches) {
      const work: Work = { event, pending: tracker.begin(position, event.occurredAt.getTime()) };
      if (!this.parkIfBehind(work)) this.batches.add(work);
      return;
    }
    if (lanes.size === 0 && parked.isEmpty && tracker.isIdle && breaker.isQuiet && slots.tryTake()) {
      // Nobody else is about: if the handler returns at once, there is nothing to keep.
      const work: Work = { event, pending: undefined };
      const begun = this.attempts.begin(event, event.id, () => this.done(work));
      if (begun === true) {
        this.handled++;
        tracker.passed(position);
        return;
      }
      work.pending = tracker.begin(position, event.occurredAt.getTime());
      const key = aggregateKey(event);
      lanes.set(key, []);
      void this.finish(work, begun).then(() => this.drain(key));
      return;
    }
    this.enter({ event, pending: tracker.begin(position, event.occurredAt.getTime()) });
  }

  private wants(event: StoredEvent): boolean {
    const { types, aggregates, where } = this.settings;
    if (types !== undefined && !types.has(event.type)) return false;
    if (aggregates !== undefined && !aggregates.has(event.aggregateType)) return false;
    if (where === undefined) return true;
    try {
      return where(event);
    } catch {
      return true; // the attempt will throw it, be repeated, and end as a dead letter that tells
    }
  }

  // ——— handling them

  private parkIfBehind(work: Work): boolean {
    const { parked, settings } = this;
    if (parked.isEmpty || settings.onExhausted !== 'park') return false;
    const place = parked.placeOf(aggregateKey(work.event), work.event.position);
    if (place === 'free' || place === 'before') return false;
    if (place === 'behind') this.park(work, undefined);
    this.done(work);
    return true;
  }

  private enter(work: Work): void {
    if (work.letter === undefined && this.parkIfBehind(work)) return;
    const key = aggregateKey(work.event);
    const lane = this.lanes.get(key);
    if (lane) {
      lane.push(work);
      return;
    }
    this.lanes.set(key, [work]);
    void this.drain(key);
  }

  private async drain(key: string): Promise<void> {
    const lane = this.lanes.get(key)!;
    for (let work = lane.shift(); work !== undefined; work = lane.shift()) {
      if (!this.mayBegin(work)) continue;
      const current = work;
      const begun =
        !this.breaker.isOpen && this.slots.tryTake()
          ? this.attempts.begin(current.event, current.event.id, () => this.done(current))
          : this.attempts.run(current.event, current.event.id, () => this.done(current));
      if (begun === true) this.done(current);
      else await this.finish(current, begun);
    }
    this.lanes.delete(key);
  }

  /** False: it has to wait for another run, is parked, or is done. */
  private mayBegin(work: Work): boolean {
    if (this.closing !== undefined || (this.state === 'stopped' && work.letter === undefined)) {
      work.told?.({ kind: 'abandoned' });
      return false;
    }
    return work.letter !== undefined || !this.parkIfBehind(work);
  }

  private async finish(work: Work, begun: Promise<Outcome>): Promise<void> {
    const outcome = await begun;
    if (outcome.kind === 'failed') this.exhausted(work, outcome.error, outcome.attempts);
    work.told?.(outcome);
  }

  /** In one turn with whatever it has caused. */
  private done(work: Work): void {
    this.parts.tables.touch(this);
    if (work.letter) this.parked.remove(work.letter);
    if (work.pending === undefined) return;
    this.handled++;
    const wasFull = this.tracker.count >= this.settings.window;
    this.tracker.complete(work.pending);
    if (wasFull) this.changed();
    if (this.waiters.size > 0) this.advance();
    if (this.onIdle.length > 0) this.checkIdle();
  }

  private exhausted(work: Work, error: unknown, attempts: number): void {
    const { event, letter } = work;
    const details = { handler: this.name, eventId: event.id, eventType: event.type, attempts };
    this.parts.onError(error, details);
    if (letter) return this.parked.failedAgain(letter, error, attempts);
    if (this.settings.onExhausted === 'stop') return this.stop(error);
    this.park(work, { error, attempts });
    this.done(work);
  }

  private park(work: Work, failure: { error: unknown; attempts: number } | undefined): void {
    this.parked.park(work.event, failure);
    if (this.parked.count < this.settings.deadLetterLimit) return;
    this.stop(new Error(`there are ${this.parked.count} dead letters, as many as may be; resolve some, then resume()`));
  }

  private stop(error: unknown): void {
    this.failure = error;
    this.state = 'stopped';
    this.leave();
    this.changed();
    this.checkIdle();
  }

  /** Handle the letters of one aggregate again, in order, until one fails or none is left. */
  async requeue(aggregate: string): Promise<void> {
    if (this.requeueing.has(aggregate)) return;
    this.requeueing.add(aggregate);
    try {
      while (this.parked.has(aggregate) && this.closing === undefined) {
        const letter = await this.parked.first(aggregate);
        if (letter === undefined) return;
        const outcome = await new Promise<Outcome>((told) => {
          const work: Work = { event: letterEvent(letter.record), pending: undefined, letter, told };
          if (this.batches) this.batches.add(work);
          else this.enter(work);
        });
        if (outcome.kind !== 'done') return;
      }
    } finally {
      this.requeueing.delete(aggregate);
    }
  }

  /** One attempt that moves nothing; what it threw, if it did. */
  async rehearse(event: StoredEvent): Promise<LetterError | undefined> {
    const outcome = await this.attempts.dryRun(this.batches ? [event] : event, event.id);
    return outcome.kind === 'failed' ? letterError(outcome.error) : undefined;
  }

  private readonly requeueing = new Set<string>();

  // ——— where it stands

  /** @internal from the tables */
  stageCheckpoint(): void {
    if (this.parts.volatile) return;
    const { tracker, lastTaken } = this;
    const record: KeptCheckpoint = {
      low: tracker.low,
      done: tracker.done(),
      ...(lastTaken && { lastId: lastTaken.id, lastAt: lastTaken.occurredAt.toISOString() }),
      updatedAt: new Date().toISOString(),
      ...(this.isPaused && { paused: true }),
    };
    this.parts.tables.stage(checkpointTable, this.name, record);
  }

  get position(): number {
    return this.tracker.low;
  }

  status(): SubscriptionStatus {
    const { tracker, parts, attempts } = this;
    const { low } = tracker;
    const { lastError } = attempts;
    const shown = this.failure ?? lastError;
    const isHere = this.state === 'live' || this.state === 'catching up';
    return {
      name: this.name,
      state: isHere && this.isPaused ? 'paused' : this.state,
      position: low,
      lagEvents: Math.max(0, parts.feed.synced - low),
      lagSeconds: low >= parts.feed.synced ? 0 : this.age(),
      inFlight: tracker.count,
      handled: this.handled,
      failures: attempts.failures,
      deadLetters: this.parked.count,
      circuit: this.breaker.isOpen ? 'open' : 'closed',
      lastError: shown === undefined ? undefined : String((shown as Error)?.message ?? shown),
    };
  }

  /** Seconds since the oldest event that is not done occurred, as far as it is known. */
  private age(): number {
    const since = this.tracker.oldest?.occurredAt ?? this.lastTaken?.occurredAt.getTime();
    return since === undefined ? 0 : Math.max(0, (Date.now() - since) / 1000);
  }

  caughtUpTo(
    target: number | { readonly position: number },
    { timeoutMs = 30_000, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
  ): Promise<void> {
    const position = typeof target === 'number' ? target : target.position;
    if (this.tracker.low >= position && this.state !== 'starting') return Promise.resolve();
    if (this.state === 'failed' || this.state === 'closed') return Promise.reject(this.ended());
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const settle = (end: () => void): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        this.waiters.delete(waiter);
        end();
      };
      const waiter = {
        position,
        resolve: () => settle(resolve),
        reject: (error: unknown) => settle(() => reject(error)),
      };
      const onAbort = (): void => waiter.reject(signal!.reason);
      const timer = setTimeout(() => {
        const reached = this.tracker.low;
        waiter.reject(new TrunklineError('CaughtUpTimedOut', { handler: this.name, position, reached, timeoutMs }));
      }, timeoutMs);
      signal?.addEventListener('abort', onAbort);
      this.waiters.add(waiter);
    });
  }

  private advance(): void {
    const { low } = this.tracker;
    for (const waiter of this.waiters) if (waiter.position <= low) waiter.resolve();
  }

  // ——— what may be asked of it

  async pause(): Promise<void> {
    this.isPaused = true;
    this.changed();
    await this.whenIdle();
    this.parts.tables.touch(this);
    await this.parts.tables.durable();
  }

  async resume(): Promise<void> {
    this.isPaused = false;
    if (this.state === 'stopped') {
      this.failure = undefined;
      this.state = 'catching up';
      // What stopped it is still under way as far as the tracker knows: take it again.
      await this.whenLanesEmpty();
      this.begin(this.tracker.low, this.tracker.done());
    }
    this.changed();
    this.parts.tables.touch(this);
    await this.parts.tables.durable();
  }

  async reset(from: From): Promise<void> {
    checkFrom(from);
    const low = (await this.parts.starts.positionOf(from)) - 1;
    this.holds++;
    this.changed();
    try {
      await this.whenIdle();
      if (this.state === 'stopped') this.state = 'catching up';
      this.failure = undefined;
      this.leave();
      this.begin(low, []);
      this.lastTaken = undefined;
      this.parts.tables.touch(this);
      await this.parts.tables.durable();
    } finally {
      this.holds--;
      this.changed();
    }
  }

  /** @internal end it: what runs has `graceMs` to end */
  close(graceMs: number = closeGraceMs): Promise<void> {
    this.closing ??= this.end(graceMs);
    return this.closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private async end(graceMs: number): Promise<void> {
    this.leave();
    this.changed();
    this.attempts.stopRetrying();
    const timer = setTimeout(() => this.attempts.abort(), graceMs);
    await this.whenLanesEmpty();
    await this.batches?.ended();
    clearTimeout(timer);
    await this.running;
    if (this.state !== 'failed') this.state = 'closed';
    for (const waiter of this.waiters) waiter.reject(this.ended());
    this.parts.tables.touch(this);
    await this.parts.onClosed();
  }

  private ended(): unknown {
    return this.failure ?? new TrunklineError('RuntimeClosed', { state: 'closed' });
  }

  private fail(error: unknown): void {
    if (this.closing !== undefined && isError(error, 'RuntimeClosed')) return;
    this.failure = error;
    this.state = 'failed';
    this.parts.onError(error, { handler: this.name });
    for (const waiter of this.waiters) waiter.reject(error);
  }

  /** Something to look at again has happened; or `boundMs` have passed. */
  private change(boundMs?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = boundMs === undefined ? undefined : setTimeout(resolve, boundMs);
      this.changed = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.closing !== undefined) this.changed();
    });
  }

  /** @internal the tables have room again, or the log has moved */
  wake(): void {
    this.changed();
  }

  private whenIdle(): Promise<void> {
    return new Promise((resolve) => {
      this.onIdle.push(resolve);
      this.checkIdle();
    });
  }

  private checkIdle(): void {
    if (!this.tracker.isIdle && this.state !== 'stopped' && this.state !== 'failed') return;
    for (const resolve of this.onIdle.splice(0)) resolve();
  }

  private async whenLanesEmpty(): Promise<void> {
    while (this.lanes.size > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const pageSize = 1000;
const closeGraceMs = 10_000;
/** A subscription that gets no events moves its checkpoint so often. */
const idleCheckpointMs = 10_000;
