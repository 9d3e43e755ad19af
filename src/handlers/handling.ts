// What is under way in one subscription: events on their way through the handler, side by side, one at a time and in version
// order within an aggregate; what is parked; how far it has come. Owned by the caller's thread.
//
// Invariant: an event is done when its handler has succeeded or it is parked, in the same turn in which what goes with that
// is staged in the tables. Once halted nothing is begun, so that nothing behind a failed event is handled before it.

import { clearTimeout, pause, setTimeout } from '../clock.ts';
import { TrunklineError } from '../errors.ts';
import type { StoredEvent } from '../event.ts';
import { guarded, unawaited } from '../guarded.ts';
import { Attempts, type Call, type Outcome } from './attempts.ts';
import { Batches } from './batches.ts';
import { Breaker } from './breaker.ts';
import { doneIn, handledPrefix, handledTable } from './handled.ts';
import { aggregateKey, type LetterError, letterError, letterEvent } from './letters.ts';
import { type Letter, Parked } from './parked.ts';
import { mayComeBack, patienceMs } from './patience.ts';
import type { SubscriptionSettings } from './settings.ts';
import { Slots } from './slots.ts';
import type { Tables } from './tables.ts';
import { DoneRanges, joinRanges, type Pending, Tracker } from './tracker.ts';

/** One event, one letter, or one attempt beside the checkpoint, on its way through the handler. */
export interface Work {
  event: StoredEvent;
  pending: Pending | undefined;
  letter?: Letter;
  /** One attempt, whatever becomes of it; nothing is marked as done. */
  once?: 'dry run' | 'replay';
  /** Called with how a letter, or an attempt beside the checkpoint, fared. */
  told?: (outcome: Outcome) => void;
}

export interface HandlingEvents {
  /** The checkpoint moves, or will. */
  touched(): void;
  /** Something is done. */
  advanced(): void;
  halted(error: unknown): void;
  failed(error: unknown, details: Record<string, unknown>): void;
  runtimeHasFailed(): boolean;
}

export class Handling {
  readonly attempts: Attempts;
  readonly parked: Parked;
  readonly breaker: Breaker;
  private readonly settings: SubscriptionSettings;
  private readonly tables: Tables;
  private readonly events: HandlingEvents;
  private readonly slots: Slots;
  private readonly batches: Batches | undefined;
  /** Aggregates with an event under way: what waits behind it. */
  private readonly lanes = new Map<string, Work[]>();
  private readonly requeueing = new Set<string>();
  tracker: Tracker = new Tracker(0);
  isHalted = false;
  isClosing = false;
  handled = 0;
  lastTaken: StoredEvent | undefined;

  constructor(settings: SubscriptionSettings, tables: Tables, call: Call, events: HandlingEvents) {
    this.settings = settings;
    this.tables = tables;
    this.events = events;
    this.breaker = new Breaker(settings.breaker);
    const { concurrency, threads, module } = settings;
    this.slots = new Slots(module === undefined ? concurrency : Math.min(concurrency, threads));
    this.attempts = new Attempts(settings, call, tables, this.breaker, this.slots, events.runtimeHasFailed);
    this.parked = new Parked(settings.name, tables);
    this.batches =
      settings.batch &&
      new Batches(settings.batch, this.attempts, {
        mayBegin: (work) => this.mayBegin(work),
        done: (work) => this.done(work),
        exhausted: (work, error, attempts) => this.exhausted(work, error, attempts),
        broken: (error) => this.broken(error),
      });
  }

  /**
   * What an earlier run has done above `low`: what its checkpoint says, and what it has done in transactions without having
   * said so. That the checkpoint is going to say: then, and not before, `entries` may go. (What it says already belongs to
   * letters, and goes with them.)
   */
  async doneAbove(low: number, done: readonly number[]): Promise<{ done: number[]; entries: string[] }> {
    const { tables, settings } = this;
    const entries = await tables.range(handledTable, { prefix: handledPrefix(settings.name) });
    const told = new DoneRanges(done); // asked in the order of the keys, which is that of the positions
    const news = entries.filter(({ value }) => {
      const [first] = doneIn(value);
      return first! > low && !told.has(first!);
    });
    return { done: joinRanges([done, ...news.map(({ value }) => doneIn(value))]), entries: news.map(({ key }) => key) };
  }

  /** Everything up to `low`, and in the ranges, is done. Nothing is under way. */
  begin(low: number, done: readonly number[]): void {
    this.tracker = new Tracker(low, done);
  }

  get hasRoom(): boolean {
    return this.tracker.count < this.settings.window && !this.tables.isFull;
  }

  /** The next event in log order, of interest or not. */
  take(event: StoredEvent): void {
    const { position } = event;
    const { tracker } = this;
    if (!this.wants(event)) return;
    if (tracker.wasDone(position)) return tracker.passed(position);
    this.lastTaken = event;
    this.events.touched();
    if (this.batches) {
      this.batches.add({ event, pending: tracker.begin(position, event.occurredAt.getTime()) });
    } else if (this.isQuiet && this.slots.tryTake()) {
      this.takeAlone(event);
    } else {
      this.enter({ event, pending: tracker.begin(position, event.occurredAt.getTime()) });
    }
  }

  /** Nobody else is about: a handler that returns at once leaves nothing to keep. */
  private get isQuiet(): boolean {
    return this.lanes.size === 0 && this.parked.isEmpty && this.tracker.isIdle && this.breaker.isQuiet;
  }

  private takeAlone(event: StoredEvent): void {
    const work: Work = { event, pending: undefined };
    const begun = this.attempts.begin(event, event.id, () => this.done(work));
    if (begun === true) {
      this.handled++;
      this.tracker.passed(event.position);
      return;
    }
    work.pending = this.tracker.begin(event.position, event.occurredAt.getTime());
    const key = aggregateKey(event);
    this.lanes.set(key, []);
    unawaited(
      this.finish(work, begun).then(() => this.drain(key)),
      (error) => this.broken(error, key),
    );
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

  /** Behind what is under way of its aggregate, also if that will be parked: letters come in version order, without a gap. */
  private enter(work: Work): void {
    const key = aggregateKey(work.event);
    const lane = this.lanes.get(key);
    if (lane) {
      lane.push(work);
      return;
    }
    this.lanes.set(key, [work]);
    unawaited(this.drain(key), (error) => this.broken(error, key));
  }

  private async drain(key: string): Promise<void> {
    const lane = this.lanes.get(key)!;
    for (let next = lane.shift(); next !== undefined; next = lane.shift()) {
      const work = next;
      if (!this.mayBegin(work)) continue;
      const { event } = work;
      if (work.once !== undefined) {
        const outcome = await this.attempts.single(event, event.id, work.once);
        work.told?.(outcome);
        continue;
      }
      const done = (): void => this.done(work);
      const isFree = !this.breaker.isOpen && this.slots.tryTake();
      const begun = isFree
        ? this.attempts.begin(event, event.id, done)
        : this.attempts.run(event, event.id, done, () => this.mayBegin(work));
      if (begun !== true) {
        await this.finish(work, begun);
        continue;
      }
      done();
      work.told?.({ kind: 'done' });
    }
    this.lanes.delete(key);
  }

  /** False: it is left to another run, or parked. */
  private mayBegin(work: Work): boolean {
    const isAsked = work.letter !== undefined || work.once !== undefined;
    if (this.isClosing || (this.isHalted && !isAsked)) {
      work.told?.({ kind: 'abandoned' });
      return false;
    }
    return isAsked || !this.parkIfBehind(work);
  }

  private async finish(work: Work, begun: Promise<Outcome>): Promise<void> {
    const outcome = await begun;
    if (outcome.kind === 'failed') this.exhausted(work, outcome.error, outcome.attempts);
    work.told?.(outcome);
  }

  /** In one turn with whatever goes with it. */
  private done(work: Work): void {
    this.events.touched();
    if (work.letter) this.parked.remove(work.letter);
    if (work.pending === undefined) return;
    this.handled++;
    this.tracker.complete(work.pending);
    this.events.advanced();
  }

  private exhausted(work: Work, error: unknown, attempts: number): void {
    const { event, letter } = work;
    this.events.failed(error, { eventId: event.id, eventType: event.type, attempts });
    if (letter) {
      this.parked.failedAgain(letter, error, attempts);
    } else if (this.settings.onExhausted === 'stop') {
      this.halt(error);
    } else {
      this.park(work, { error, attempts });
    }
  }

  // ——— dead letters

  /** Whether something of its aggregate is parked: then it is parked behind it, or is among it already. */
  private parkIfBehind(work: Work): boolean {
    const { parked, settings } = this;
    if (parked.isEmpty || settings.onExhausted !== 'park') return false;
    const place = parked.placeOf(aggregateKey(work.event), work.event.position);
    if (place === 'free' || place === 'before') return false;
    if (place === 'behind') this.park(work, undefined);
    else this.done(work);
    return true;
  }

  private park(work: Work, failure: { error: unknown; attempts: number } | undefined): void {
    this.parked.park(work.event, failure);
    this.done(work);
    const { count } = this.parked;
    if (count < this.settings.deadLetterLimit) return;
    this.halt(new Error(`there are ${count} dead letters, as many as may be; resolve some, then resume()`));
  }

  /** What should not happen has, in our own code: it stops this subscription, by its name, and nothing else. */
  private broken(error: unknown, lane?: string): void {
    if (lane !== undefined) this.lanes.delete(lane);
    this.events.failed(error, {});
    this.halt(error);
  }

  private halt(error: unknown): void {
    this.isHalted = true;
    this.events.halted(error);
  }

  /** Handle the letters of one aggregate again, in order, until one fails or none is left. Never rejects. */
  async requeue(aggregate: string): Promise<void> {
    if (this.requeueing.has(aggregate)) return;
    this.requeueing.add(aggregate);
    try {
      while (this.parked.has(aggregate) && !this.isClosing) {
        const letter = await this.firstLetter(aggregate);
        if (letter === undefined) return;
        const outcome = await this.ask({ event: letterEvent(letter.record), pending: undefined, letter });
        if (outcome.kind !== 'done') return;
      }
    } catch (error) {
      this.broken(error);
    } finally {
      this.requeueing.delete(aggregate);
    }
  }

  /** While the tables are away it waits: that they were asked for is kept there, too. */
  private async firstLetter(aggregate: string): Promise<Letter | undefined> {
    for (let failures = 1; ; failures++) {
      try {
        return await this.parked.first(aggregate);
      } catch (error) {
        if (this.isClosing) return undefined;
        if (!mayComeBack(error)) throw error;
        this.events.failed(error, {});
        await pause(patienceMs(failures), undefined, { ref: false });
      }
    }
  }

  /** One attempt that moves nothing; what it threw, if it did. @throws RuntimeClosed */
  async rehearse(event: StoredEvent): Promise<LetterError | undefined> {
    const outcome = await this.ask({ event, pending: undefined, once: 'dry run' });
    if (outcome.kind === 'abandoned') throw new TrunklineError('RuntimeClosed', { state: 'closing' });
    return outcome.kind === 'failed' ? letterError(outcome.error) : undefined;
  }

  /** One attempt, behind what is going on with its aggregate, with its effects; whether it went well. @throws RuntimeClosed */
  async replay(event: StoredEvent): Promise<boolean> {
    const outcome = await this.ask({ event, pending: undefined, once: 'replay' });
    if (outcome.kind === 'abandoned') throw new TrunklineError('RuntimeClosed', { state: 'closing' });
    return outcome.kind === 'done';
  }

  /** Put it on its way; resolves with how it fared. */
  private ask(work: Work): Promise<Outcome> {
    return new Promise((told) => {
      const asked: Work = { ...work, told };
      if (this.batches) this.batches.add(asked);
      else this.enter(asked);
    });
  }

  // ——— ending

  /** Begin nothing more; resolves when what runs has ended, or was given up after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.isClosing = true;
    this.attempts.stopRetrying();
    const timer = this.endWithin(graceMs);
    await this.whenLanesEmpty();
    await this.batches?.ended();
    clearTimeout(timer);
  }

  /** What runs has no longer than this from now, whatever was said before. */
  endWithin(graceMs: number): NodeJS.Timeout {
    return setTimeout(
      guarded(() => this.attempts.abort()),
      graceMs,
    ).unref();
  }

  /** Whether nothing runs. */
  get isQuiescent(): boolean {
    return this.lanes.size === 0;
  }

  /** Resolves when nothing runs. What was halted before it began counts as not begun. */
  async whenLanesEmpty(): Promise<void> {
    while (this.lanes.size > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
