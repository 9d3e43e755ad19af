// Messages between aggregates, from `send`. A message is a frame in the log; it is delivered after it is written, and done
// when its outcome is synced, or when it lies among the dead letters. Until then the log keeps it, and a restart delivers it
// again, under a key made of its id: the target executes it once. Caller's thread.
//
// Invariants: one lane's messages (those of one sender to one target) are delivered one after the other, in log order; while
// one lies among the dead letters, later ones of its lane follow it there. `settled` says no more than what is done.
import { setTimeout as pause } from 'node:timers/promises';
import type { FrameReader } from '../frame.ts';
import { unawaited } from '../guarded.ts';
import { eachFrame } from '../log/frames.ts';
import type { Levels } from '../log/levels.ts';
import type { LogSource } from '../log/log.ts';
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
import { type Answer, Unconfirmed } from './unconfirmed.ts';

/** While there is no room for another dead letter. */
const lookAgainMs = 1_000;

interface Open {
  readonly position: number;
  readonly message: Message | undefined;
  isSettled: boolean;
}

interface Lane {
  readonly key: string;
  readonly waiting: Open[];
  /** Letters in the box. */
  letters: number;
  isRequeued: boolean;
  isRunning: boolean;
}

export class Deliveries {
  /** Since the start: refused by their targets; given up after their attempts. */
  refusedCount = 0;
  failedCount = 0;
  /** Dead letters there are. */
  letters = 0;
  private readonly caller: Caller;
  private readonly levels: Levels;
  private box!: LetterBox;
  private readonly events: DeliveryEvents;
  private readonly settings: MessageSettings;
  private readonly parts: DeliveryParts;
  private readonly stop = new AbortController();
  private readonly lanes = new Map<string, Lane>();
  /** In log order, from `firstOpen` on; the first one is not done. */
  private open: Open[] = [];
  private firstOpen = 0;
  private unsettled = 0;
  private suspects: Promise<unknown> = Promise.resolve();
  private readonly unconfirmed = new Unconfirmed<Open>((open, isStored) => {
    if (isStored) this.settle(open);
    else this.refusedByStore(open);
  });
  /** All messages up to here have been added. */
  private seen = 0;
  private published = -1;
  /** Until the last run's messages are known, nothing counts as done: a chunk that said so would lose them to a kill. */
  private isRecovered = false;

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
      alone: (attempt) => {
        const turn = this.suspects.then(attempt, attempt);
        this.suspects = turn.catch(() => {});
        return turn;
      },
    };
  }

  /** Messages that are neither carried out nor among the dead letters. */
  get count(): number {
    return this.unsettled;
  }

  /** What the last run has left: its dead letters, and messages that it had written and perhaps not carried out. */
  recover(log: LogSource, from: number, to: number, box: LetterBox, kept: KeptLetters): void {
    this.box = box;
    for (const [key, letters] of kept.lanes) {
      this.lane(key).letters = letters;
      this.letters += letters;
    }
    eachFrame(log, from, to, (frame, position) => {
      const message = messageIn(frame, position);
      if (message !== undefined && !kept.resolved.has(message.id)) this.take(message);
    });
    this.isRecovered = true;
    for (const key of kept.requeued) this.requeue(key);
  }

  add(frame: FrameReader, position: number): void {
    const message = messageIn(frame, position);
    if (message !== undefined) this.take(message);
  }

  /** Deliver a lane's dead letters again, the first one first. */
  requeue(key: string): void {
    const lane = this.lane(key);
    lane.isRequeued = true;
    this.start(lane);
  }

  /** Dead letters of a lane have been discarded. */
  discarded(key: string, count: number): void {
    const lane = this.lanes.get(key);
    if (lane === undefined) return;
    this.letters -= Math.min(count, lane.letters);
    lane.letters = Math.max(0, lane.letters - count);
    if (lane.letters > 0) this.requeue(key);
    else this.start(lane);
  }

  private lane(key: string): Lane {
    let lane = this.lanes.get(key);
    if (lane === undefined) {
      lane = { key, waiting: [], letters: 0, isRequeued: false, isRunning: false };
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
    const ended = (): void => {
      lane.isRunning = false;
      if (lane.waiting.length === 0 && lane.letters === 0 && !lane.isRequeued) this.lanes.delete(lane.key);
    };
    unawaited(
      this.run(lane).finally(ended),
      () => {}, // its messages stay in the log, and its letters in the box: the next start goes on with them
    );
  }

  private async run(lane: Lane): Promise<void> {
    while (!this.stop.signal.aborted) {
      if (lane.isRequeued) {
        if (!(await this.again(lane))) return;
        continue;
      }
      const open = lane.waiting[0];
      if (open === undefined) return;
      const message = open.message!;
      if (this.unconfirmed.isFull) {
        await pause(lookAgainMs, undefined, { signal: this.stop.signal }).catch(() => {});
        continue;
      }
      const isBehind = lane.letters > 0;
      const end: DeliveryEnd | undefined = isBehind ? undefined : await deliver(message, this.parts);
      if (end?.kind === 'stopped') return;
      if (end === undefined || end.kind === 'failed') {
        if (!(await this.park(lane, message, end))) continue;
        this.settle(open);
      } else {
        if (end.kind === 'refused') this.refused(message, end.error);
        this.answered(open, end.answer);
      }
      lane.waiting.shift();
    }
  }

  private refused(message: Message, error: unknown): void {
    this.refusedCount++;
    this.events.refused(message, error);
  }

  /** False if there is no room for it: then it is tried on. */
  private async park(lane: Lane, message: Message, failure: MessageFailure | undefined): Promise<boolean> {
    if (this.letters >= this.settings.deadLetterLimit) {
      this.events.heldUp(message, failure?.error);
      await pause(lookAgainMs, undefined, { signal: this.stop.signal }).catch(() => {});
      return false;
    }
    lane.letters++;
    this.letters++;
    await this.box.park(message, failure);
    if (failure !== undefined) this.failedCount++;
    this.events.parked(message, failure);
    return true;
  }

  /** The first letter of a lane, once more; false when the runtime stops. */
  private async again(lane: Lane): Promise<boolean> {
    const message = lane.letters === 0 ? undefined : await this.box.first(lane.key);
    if (message === undefined) {
      this.letters -= lane.letters;
      lane.letters = 0;
      lane.isRequeued = false;
      await this.box.endRequeue(lane.key);
      return true;
    }
    // Its outcome comes behind this position, and is kept until the letter is gone for good.
    const held = this.hold(this.levels.position('written') + 1, undefined);
    const end = await deliver(message, this.parts);
    if (end.kind === 'stopped') return false;
    if (end.kind === 'failed') {
      await this.box.park(message, end);
      this.failedCount++;
      this.events.parked(message, end);
      lane.isRequeued = false;
      await this.box.endRequeue(lane.key);
    } else {
      if (end.kind === 'refused') this.refused(message, end.error);
      await this.caller.reached('synced', this.levels.position('written'));
      await this.box.remove(message);
      this.letters -= Math.min(1, lane.letters);
      lane.letters -= Math.min(1, lane.letters);
    }
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
