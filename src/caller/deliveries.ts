// Messages between aggregates, from `send`. A message is a frame in the log; it is delivered after it is written, and done
// when its outcome is synced, or when it lies among the dead letters. Until then the log keeps it, and a restart delivers it
// again, under a key made of its id: the target executes it once. Caller's thread.
//
// Invariants: one lane's messages (those of one sender to one target) are delivered one after the other, in log order; while
// one lies among the dead letters, later ones of its lane follow it there. How many letters a lane has, and whether they are
// to be delivered again, the box says. `settled` says no more than what is done, and stays below the outcome of a letter
// until that letter is gone durably: so a start finds in the log what was carried out (`last-run.ts`).
import { setTimeout as pause } from 'node:timers/promises';
import type { FrameReader } from '../frame.ts';
import { unawaited } from '../guarded.ts';
import type { Levels } from '../log/levels.ts';
import {
  type DeliveryEvents,
  type KeptLetters,
  type LetterBox,
  laneOf,
  type Message,
  type MessageFailure,
  messageIn,
} from '../message.ts';
import type { MessageSettings } from '../message-options.ts';
import type { Caller } from './caller.ts';
import { type DeliveryEnd, type DeliveryParts, deliver } from './delivery.ts';
import type { LastRun } from './last-run.ts';
import { Suspects } from './suspects.ts';
import { type Answer, Unconfirmed } from './unconfirmed.ts';

/** While there is no room for another dead letter, or the box cannot be read. */
const lookAgainMs = 1_000;
/** So long a suspect has its shard for itself. */
const suspectTurnMs = 2_000;

interface Open {
  readonly position: number;
  readonly message: Message | undefined;
  isSettled: boolean;
}

interface Lane {
  readonly key: string;
  readonly waiting: Open[];
  isRunning: boolean;
  /** The letter that is delivered again: nothing from where its outcome may lie counts as done until its end is durable. */
  held: Open | undefined;
  /** Ends that, between two attempts. */
  letter: { readonly id: string; readonly givenUp: AbortController } | undefined;
}

export class Deliveries {
  /** Since the start: refused by their targets; given up after their attempts. */
  refusedCount = 0;
  failedCount = 0;
  private readonly levels: Levels;
  private readonly caller: Caller;
  private box: LetterBox | undefined;
  private readonly events: DeliveryEvents;
  private readonly settings: MessageSettings;
  private readonly parts: DeliveryParts;
  private readonly stop = new AbortController();
  private readonly lanes = new Map<string, Lane>();
  /** In log order, from `firstOpen` on; the first one is not done. */
  private open: Open[] = [];
  private firstOpen = 0;
  private unsettled = 0;
  private readonly unconfirmed = new Unconfirmed<Open>((open, isStored) => {
    if (isStored) this.settle(open);
    else this.refusedByStore(open);
  });
  /** All messages up to here have been added. */
  private seen = 0;
  private published = -1;
  /** Until the last run's messages are known, nothing counts as done: a chunk that said so would lose them to a kill. */
  private isRecovered = false;
  /** Messages and letters of the last run whose outcomes are in the log: they may fail no more, only be answered again. */
  private carriedOut = new Set<string>();

  constructor(caller: Caller, levels: Levels, settings: MessageSettings, events: DeliveryEvents) {
    this.caller = caller;
    this.levels = levels;
    this.events = events;
    this.settings = settings;
    this.parts = {
      caller,
      settings,
      stopped: this.stop.signal,
      onHeldUp: (message, error) => this.events.heldUp(message, error),
      suspects: new Suspects(suspectTurnMs),
    };
  }

  /** Messages that are neither carried out nor among the dead letters. */
  get count(): number {
    return this.unsettled;
  }

  /** Dead letters there are. */
  get letters(): number {
    return this.box?.total ?? 0;
  }

  /** What the last run has left: its dead letters, and messages that it had written and perhaps not carried out. */
  recover(lastRun: LastRun, box: LetterBox, kept: KeptLetters): void {
    this.box = box;
    this.carriedOut = new Set(lastRun.carriedOut);
    for (const message of lastRun.messages) if (!kept.resolved.has(message.id)) this.take(message);
    // A letter may have its outcome in the log already: that stays until the letter is gone.
    for (const key of kept.requeued) this.lane(key).held = this.hold(lastRun.from, undefined);
    this.isRecovered = true;
    for (const key of kept.requeued) this.requeue(key);
  }

  add(frame: FrameReader, position: number): void {
    const message = messageIn(frame, position);
    if (message !== undefined) this.take(message);
  }

  /** The box has a request to deliver a lane's dead letters again. */
  requeue(key: string): void {
    this.start(this.lane(key));
  }

  /** Dead letters have been discarded, of this lane among others. */
  discarded(key: string, ids: ReadonlySet<string>): void {
    const lane = this.lane(key);
    if (lane.letter !== undefined && ids.has(lane.letter.id)) lane.letter.givenUp.abort();
    this.start(lane);
  }

  private lane(key: string): Lane {
    let lane = this.lanes.get(key);
    if (lane === undefined) {
      lane = { key, waiting: [], isRunning: false, held: undefined, letter: undefined };
      this.lanes.set(key, lane);
    }
    return lane;
  }

  private take(message: Message): void {
    const open = this.hold(message.position, message);
    const lane = this.lane(laneOf(message));
    // A sender has one shard, and its ring is in log order.
    lane.waiting.push(open);
    this.start(lane);
  }

  /** Nothing from this position on counts as done until it is settled. */
  private hold(position: number, message: Message | undefined): Open {
    const open: Open = { position, message, isSettled: false };
    // Each ring is in log order; what several bring in one turn is not.
    let at = this.open.length;
    while (at > this.firstOpen && this.open[at - 1]!.position > position) at--;
    if (at === this.open.length) this.open.push(open);
    else this.open.splice(at, 0, open);
    this.unsettled++;
    return open;
  }

  private start(lane: Lane): void {
    if (lane.isRunning) return;
    lane.isRunning = true;
    unawaited(this.run(lane));
  }

  /** Until the lane has nothing to do: it says so in the turn in which it has looked. */
  private async run(lane: Lane): Promise<void> {
    try {
      while (!this.stop.signal.aborted) {
        try {
          const work = this.step(lane);
          if (work === undefined || !(await work)) return;
        } catch {
          // The box could not be read, or the runtime stops: everything stays as it is there and in the log.
          await pause(lookAgainMs, undefined, { signal: this.stop.signal }).catch(() => {});
        }
      }
    } finally {
      lane.isRunning = false;
      if (lane.waiting.length === 0 && lane.held === undefined) this.lanes.delete(lane.key);
    }
  }

  /** One message, or one letter; false: the runtime stops. undefined: there is nothing to do. */
  private step(lane: Lane): Promise<boolean> | undefined {
    const box = this.box!;
    const request = box.requestOf(lane.key);
    if (request !== undefined) return this.again(lane, box, request);
    const open = lane.waiting[0];
    return open && this.first(lane, box, open);
  }

  private async first(lane: Lane, box: LetterBox, open: Open): Promise<boolean> {
    const message = open.message!;
    if (this.unconfirmed.isFull) {
      await pause(lookAgainMs, undefined, { signal: this.stop.signal }).catch(() => {});
      return true;
    }
    const isBehind = box.count(lane.key) > 0;
    const end: DeliveryEnd | undefined = isBehind ? undefined : await this.deliver(message, this.stop.signal);
    if (end?.kind === 'stopped') return false;
    if (end === undefined || end.kind === 'failed') {
      if (!(await this.park(box, message, end))) return true;
      this.settle(open);
    } else {
      if (end.kind === 'refused') this.refused(message, end.error);
      this.answered(open, end.answer);
    }
    lane.waiting.shift();
    return true;
  }

  /**
   * What the last run has carried out is done, also where its target cannot be asked now: among the dead letters it would be
   * carried out once more, after its outcome is gone. Where the store is elsewhere it is asked again and again instead: the
   * store may have refused that outcome.
   */
  private async deliver(message: Message, stopped: AbortSignal): Promise<DeliveryEnd> {
    for (;;) {
      const end = await deliver(message, this.parts, stopped);
      if (end.kind !== 'failed' || !this.carriedOut.has(message.id)) {
        if (end.kind !== 'stopped') this.carriedOut.delete(message.id);
        return end;
      }
      if (!this.caller.progress.isStoreElsewhere) return { kind: 'done', answer: undefined };
      this.events.heldUp(message, end.error);
      await pause(lookAgainMs, undefined, { signal: stopped }).catch(() => {});
    }
  }

  private refused(message: Message, error: unknown): void {
    this.refusedCount++;
    this.events.refused(message, error);
  }

  /** False if it is not among the dead letters: there is no room, or what it was to wait behind has gone. */
  private async park(box: LetterBox, message: Message, failure: MessageFailure | undefined): Promise<boolean> {
    if (box.total >= this.settings.deadLetterLimit) {
      this.events.heldUp(message, failure?.error);
      await pause(lookAgainMs, undefined, { signal: this.stop.signal }).catch(() => {});
      return false;
    }
    if (!(await box.park(message, failure, false))) return false;
    if (failure !== undefined) this.failedCount++;
    this.events.parked(message, failure);
    return true;
  }

  /** The first letter of a lane, once more; false when the runtime stops. */
  private async again(lane: Lane, box: LetterBox, request: number): Promise<boolean> {
    const message = await box.first(lane.key);
    if (message === undefined) {
      await box.endRequeue(lane.key, request);
      if (lane.held !== undefined) this.settle(lane.held);
      lane.held = undefined;
      return true;
    }
    // Its outcome comes behind this position, and is kept until the letter is gone for good.
    lane.held ??= this.hold(this.levels.position('written') + 1, undefined);
    const givenUp = new AbortController();
    lane.letter = { id: message.id, givenUp };
    const end = await this.deliver(message, AbortSignal.any([givenUp.signal, this.stop.signal]));
    lane.letter = undefined;
    if (end.kind === 'stopped' && !givenUp.signal.aborted) return false;
    if (end.kind === 'failed') {
      if (await box.park(message, end, true)) {
        this.failedCount++;
        this.events.parked(message, end);
        await box.endRequeue(lane.key, request);
      }
    } else if (end.kind !== 'stopped') {
      if (end.kind === 'refused') this.refused(message, end.error);
      await this.caller.reached('synced', this.levels.position('written'));
      await box.remove(message);
    }
    const { held } = lane;
    lane.held = undefined;
    this.settle(held);
    return true;
  }

  /** It has an outcome. That counts when it is synced, and stored, where the store is elsewhere and may refuse it. */
  private answered(open: Open, answer: Answer | undefined): void {
    if (answer !== undefined && this.caller.progress.isStoreElsewhere) this.unconfirmed.add(open, answer);
    else unawaited(this.settleWhenSynced(open), () => {}); // what ends the runtime ends no message
  }

  /** Another log has the target: what was answered is void, and the message is as if it had never been delivered. */
  private refusedByStore(open: Open): void {
    const lane = this.lane(laneOf(open.message!));
    lane.waiting.push(open);
    this.start(lane);
  }

  /** The outcome is written, and so lies below what is written now. */
  private async settleWhenSynced(open: Open): Promise<void> {
    await this.caller.reached('synced', this.levels.position('written'));
    this.settle(open);
  }

  private settle(open: Open): void {
    open.isSettled = true;
    this.unsettled--;
    this.settledUpTo(this.seen);
  }

  /** Tell the log how far everything is done, given that all messages up to `written` have been seen. */
  settledUpTo(written: number): void {
    this.seen = written;
    if (!this.isRecovered) return;
    const { open } = this;
    while (this.firstOpen < open.length && open[this.firstOpen]!.isSettled) this.firstOpen++;
    if (this.firstOpen > 64 && this.firstOpen * 2 > open.length) {
      this.open = open.slice(this.firstOpen);
      this.firstOpen = 0;
    }
    const first = this.open[this.firstOpen];
    const settled = first === undefined ? written : Math.min(written, first.position - 1);
    if (settled === this.published) return;
    this.published = settled;
    this.levels.publish('settled', settled);
  }

  close(): void {
    this.stop.abort();
  }
}
