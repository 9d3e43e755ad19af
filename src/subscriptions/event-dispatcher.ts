// What one subscription runs: events, one at a time within an aggregate; what is parked; how far it has come. Host thread.
//
// Invariant: an event is done when its handler has succeeded or it is parked, in the same turn in which what goes with that
// is staged in the tables. Once halted nothing is begun, so that nothing behind a failed event is handled before it.

import { clearTimeout, setTimeout } from '../base/clock.ts';
import { guarded } from '../base/guarded.ts';
import { aggregateKey } from '../dead-letters/letters.ts';
import { ParkedSequences } from '../dead-letters/parked-sequences.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import { bytesOf, occurredAtMs, type StoredEvent } from '../model/event.ts';
import { asStored } from '../model/evolved-event.ts';
import { type Care, spent, type Turn } from '../wire/care.ts';
import { AggregateLanes } from './aggregate-lanes.ts';
import { AskedWork } from './asked-work.ts';
import type { Subject } from './attempt.ts';
import { BatchCollector } from './batch-collector.ts';
import { Breaker } from './breaker.ts';
import { DeliveryRunner } from './delivery-runner.ts';
import { Executions } from './executions.ts';
import type { HandlerCode, HandlerFn } from './handler-code.ts';
import { isAbout, passes } from './interest.ts';
import type { Outcome } from './outcome.ts';
import type { SubscriptionSettings } from './settings.ts';
import { Slots } from './slots.ts';
import { Tracker } from './tracker.ts';
import { isAsked, type Work } from './work.ts';

/** What has been executed is waited for so long until it is kept. */
const keptMs = 5_000;

export interface DispatchEvents {
  /** The checkpoint moves, or will. */
  touched(): void;
  /** Something is done. */
  advanced(): void;
  halted(error: unknown): void;
  failed(error: unknown, details: Record<string, unknown>): void;
  /** The handler's thread has not come to a call: it waits, and is made again. */
  unready(error: unknown): void;
  runtimeHasFailed(): boolean;
}

export class EventDispatcher {
  readonly runner: DeliveryRunner;
  readonly parked: ParkedSequences;
  readonly breaker: Breaker;
  readonly asked: AskedWork;
  private readonly settings: SubscriptionSettings;
  private readonly handlerState: StateTables;
  private readonly care: Care;
  private readonly events: DispatchEvents;
  private readonly slots: Slots;
  private readonly collector: BatchCollector | undefined;
  private readonly lanes: AggregateLanes<Work>;
  private readonly executions = new Executions();
  tracker: Tracker = new Tracker(0);
  /** No event is begun or tried again; when that ends, what was left is taken again. */
  private isHeld = false;
  private isClosing = false;
  handled = 0;
  lastTaken: StoredEvent | undefined;

  constructor(settings: SubscriptionSettings, state: StateTables, care: Care, call: HandlerFn, events: DispatchEvents) {
    this.settings = settings;
    this.care = care;
    this.handlerState = state;
    this.events = events;
    this.breaker = new Breaker(settings.breaker);
    const { concurrency, threads, module } = settings;
    this.slots = new Slots(module === undefined ? concurrency : Math.min(concurrency, threads));
    this.runner = new DeliveryRunner(settings, call, { state, events, breaker: this.breaker, slots: this.slots });
    this.lanes = new AggregateLanes((work) => this.handle(work), {
      ended: () => this.executions.ended(),
      broken: (error) => this.broken(error),
    });
    this.parked = new ParkedSequences(settings.keptAs, state);
    this.asked = new AskedWork({
      parked: this.parked,
      code: this.code,
      evolution: settings.evolution,
      isClosing: () => this.isClosing,
      turnOf: (event) => this.turnOf(event),
      enter: (work) => this.enter(work),
      failed: (error) => events.failed(error, {}),
      broken: (error) => this.broken(error),
    });
    this.collector =
      settings.batch &&
      new BatchCollector(settings.batch, this.runner, {
        mayBegin: (work) => this.mayBegin(work),
        done: (works) => this.done(works),
        exhausted: (work, error, attempts) => this.exhausted(work, error, attempts),
        broken: (error) => this.broken(error),
        ended: () => this.executions.ended(),
        inTurn: (work, turn) => this.inTurn(work, turn, [work.event]),
      });
  }

  get code(): HandlerCode {
    return this.runner.code;
  }

  /** Everything up to `low`, and in the ranges, is done: events behind it are taken from now on. None is being executed. */
  begin(low: number, done: readonly number[]): void {
    this.tracker = new Tracker(low, done);
    this.isHeld = false;
  }

  /** The same from another place: the last event that was taken does not say where it stands. */
  beginElsewhere(low: number): void {
    this.begin(low, []);
    this.lastTaken = undefined;
  }

  /** Nothing of interest is left up to here. */
  passed(position: number): void {
    this.tracker.scanned(position);
  }

  get hasRoom(): boolean {
    return this.tracker.count < this.settings.window && !this.tracker.isHeavy && !this.handlerState.isFull;
  }

  /** The next event in log order, of interest or not. */
  take(event: StoredEvent): void {
    const { position } = event;
    const { tracker } = this;
    if (!isAbout(this.settings, event)) return;
    if (tracker.wasDone(position)) return tracker.passed(position);
    const turn = this.turnOf(event);
    if (turn === undefined && !passes(this.settings, event)) return; // else in its turn: it is the user's code, too
    this.lastTaken = event;
    if (turn === undefined && !this.collector && this.isQuiet && this.slots.tryTake()) return this.takeAlone(event);
    this.enter({
      event,
      pending: tracker.begin(position, occurredAtMs(asStored(event)), bytesOf(asStored(event))),
      tracker,
      turn,
    });
  }

  private turnOf({ id, position }: StoredEvent): Turn | undefined {
    return this.care.of(this.settings.keptAs, `${id}@${position}`, position); // another event may have its id
  }

  /** A handler that returns at once leaves nothing to keep. */
  private get isQuiet(): boolean {
    return this.lanes.isEmpty && this.parked.isEmpty && this.tracker.isIdle && this.breaker.isQuiet;
  }

  private takeAlone(event: StoredEvent): void {
    const work: Work = { event, pending: undefined };
    const begun = this.firstTurn(work, () => this.done([work]), false);
    if (begun === true) {
      this.handled++;
      this.tracker.passed(event.position);
      this.events.touched();
      this.executions.ended();
      return;
    }
    work.tracker = this.tracker;
    work.pending = this.tracker.begin(event.position, occurredAtMs(asStored(event)), bytesOf(asStored(event)));
    this.lanes.begin(aggregateKey(event), this.executions.during(this.finish(work, begun), true));
  }

  private firstTurn(work: Work, done: () => void, asked: boolean): true | Promise<Outcome> {
    this.executions.firstTurnBegins();
    try {
      return this.runner.begin(work.event, done, asked);
    } finally {
      this.executions.firstTurnEnds();
    }
  }

  /** Behind what runs of its aggregate, also if that will be parked: letters come in version order, without a gap. */
  private enter(work: Work): void {
    if (this.collector) return this.collector.add(work);
    this.lanes.add(aggregateKey(work.event), work);
  }

  /** The next of its lane; undefined: it has ended in this turn. */
  private handle(work: Work): Promise<void> | undefined {
    if (!this.mayBegin(work)) return undefined;
    const { event } = work;
    if (work.once !== undefined) return this.runner.single(event, work.once).then((outcome) => work.told?.(outcome));
    if (work.turn !== undefined) return this.executions.during(this.inTurn(work, work.turn, event), !isAsked(work));
    const done = (): void => this.done([work]);
    const isFree = !this.breaker.isOpen && this.slots.tryTake();
    const asked = isAsked(work);
    const begun = isFree
      ? this.firstTurn(work, done, asked)
      : this.runner.run(event, done, () => this.mayBegin(work), asked);
    if (begun !== true) return this.executions.during(this.finish(work, begun), !asked);
    done();
    work.told?.({ kind: 'done' });
    this.executions.ended();
    return undefined;
  }

  /** False: it is left to another run, or parked. */
  private mayBegin(work: Work): boolean {
    const asked = isAsked(work);
    if (this.isClosing || (!asked && (this.isHeld || work.tracker !== this.tracker))) {
      work.told?.({ kind: 'abandoned' });
      return false;
    }
    return asked || !this.parkIfBehind(work);
  }

  /** It may be what has ended the process: executed behind a mark, or not again. */
  private async inTurn(work: Work, turn: Turn, subject: Subject): Promise<void> {
    const { runner, handlerState, settings } = this;
    const { event } = work;
    const what = `event ${event.type} at position ${event.position}, by handler '${settings.name}',`;
    const failure = spent(turn, what, settings.retry.attempts);
    let isExecuted = failure !== undefined;
    const mayBegin = async (): Promise<boolean> => {
      if (!this.mayBegin(work)) return false;
      await turn.begin(runner.stopped);
      isExecuted = !runner.stopped.aborted && this.mayBegin(work);
      if (!isExecuted || work.letter !== undefined || passes(this.settings, event)) return isExecuted;
      this.settle([work]);
      return false;
    };
    const begun: Promise<Outcome> =
      failure === undefined
        ? runner.run(subject, () => this.done([work]), mayBegin)
        : Promise.resolve({ kind: 'failed', ...failure });
    await this.finish(work, begun);
    if (!isExecuted || this.isClosing) return turn.leave();
    // Not before: what a handler has left running (a promise that it does not await) may end the process yet.
    await handlerState.durableWithin(keptMs, () => {}); // the tables report it
    turn.end();
  }

  private async finish(work: Work, begun: Promise<Outcome>): Promise<void> {
    const outcome = await begun;
    if (outcome.kind === 'failed') this.exhausted(work, outcome.error, outcome.attempts);
    work.told?.(outcome);
  }

  /** The handler has handled them; in one turn with whatever goes with that. */
  private done(works: readonly Work[]): void {
    for (const { pending, letter } of works) if (pending !== undefined || letter !== undefined) this.handled++;
    this.settle(works);
  }

  private settle(works: readonly Work[]): void {
    this.events.touched();
    for (const { pending, letter } of works) {
      if (letter) this.parked.remove(letter);
      if (pending !== undefined) this.tracker.complete(pending);
    }
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
    else this.settle([work]);
    return true;
  }

  private park(work: Work, failure: { error: unknown; attempts: number } | undefined): void {
    this.parked.park(work.event, failure);
    this.settle([work]);
    const { count } = this.parked;
    if (count < this.settings.deadLetterLimit) return;
    this.halt(new Error(`there are ${count} dead letters, as many as may be; resolve some, then resume()`));
  }

  /** What should not happen has, in our own code: it stops this subscription, by its name, and nothing else. */
  private broken(error: unknown): void {
    this.executions.ended();
    this.events.failed(error, {});
    this.halt(error);
  }

  private halt(error: unknown): void {
    this.hold();
    this.events.halted(error);
  }

  /** Begin no event, and try none again, until `begin`. */
  hold(): void {
    this.isHeld = true;
    this.runner.hold();
  }

  // ——— ending

  /** Begin nothing more; resolves when what runs has ended, or was given up after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.isClosing = true;
    this.runner.stopRetrying();
    const timer = this.endWithin(graceMs);
    await this.executions.until(() => this.lanes.isEmpty && !this.executions.isInFirstTurn);
    await this.collector?.ended();
    clearTimeout(timer);
  }

  /** What runs has no longer than this from now, whatever was said before. */
  endWithin(graceMs: number): NodeJS.Timeout {
    return setTimeout(
      guarded(() => this.runner.abort()),
      graceMs,
    ).unref();
  }

  /** Whether no event is executed. */
  get isStill(): boolean {
    return this.executions.isStill && this.collector?.isHandling !== true;
  }

  /** Resolves when no event is executed; held before, none is begun. */
  whenStill(): Promise<void> {
    return this.executions.until(() => this.isStill);
  }
}
