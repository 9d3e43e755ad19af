// Messages between aggregates, from `send`. A message is a frame in the log; it is delivered after it is written, and done
// when its outcome is synced, or when it lies among the dead letters. Until then the log keeps it, or the box, where the log
// has no room for it (`relief.ts`); and a restart delivers it again, under a key made of its id: the target executes it once.
// Host thread.
//
// Invariants: one lane's messages (those of one sender to one target) are delivered one after the other, in log order, also
// those whose outcomes the store has refused (`lane.ts`); while one lies among the dead letters, later ones of its lane
// follow it there. How many letters a lane has, and whether they are to be delivered again, the box says. `settled` says no more
// than what is done, and stays below the outcome of whatever is in the box until that is gone durably: so a start finds in the
// log what was carried out (`last-run.ts`). While the box cannot be read, nothing is delivered: what it holds may come first.

import { unawaited } from '../base/guarded.ts';
import { pauseUnless } from '../base/on-abort.ts';
import type { MessageSettings } from '../model/message-options.ts';
import { type ControlBlockWriter, Signal } from '../shared/control-block.ts';
import { type Care, carefree } from '../wire/care.ts';
import type { FrameReader } from '../wire/frame.ts';
import {
  type Address,
  type DeliveryEvents,
  type KeptLetters,
  type LetterBox,
  laneOf,
  type Message,
  type MessageCounts,
  messageIn,
} from '../wire/message.ts';
import { deliverWithCare } from './careful-delivery.ts';
import type { DeliveryEnd, DeliveryParts, MessageSender } from './delivery.ts';
import { Held, heapBytesOf } from './held.ts';
import { Holds } from './holds.ts';
import { Intake } from './intake.ts';
import type { Lane } from './lane.ts';
import { Lanes } from './lanes.ts';
import { type LastRun, readInTheEnd } from './last-run.ts';
import { Parking } from './parking.ts';
import { type Holder, isOver, type Open, Relief, type Watch } from './relief.ts';
import { RequeuedLetters } from './requeued-letters.ts';
import { Suspects } from './suspects.ts';
import { Tally } from './tally.ts';
import { TimerFeed } from './timer-feed.ts';
import type { MessageTaker } from './turns.ts';
import { type Answer, lasts, Unconfirmed } from './unconfirmed.ts';

/** While the box cannot be read. */
const lookAgainMs = 1_000;

export class Deliveries implements MessageTaker {
  private readonly control: ControlBlockWriter<'host'>;
  private readonly sender: MessageSender;
  private box: LetterBox | undefined;
  private care: Care = carefree;
  private readonly tally: Tally;
  private parts: DeliveryParts;
  private readonly stop = new AbortController();
  private readonly lanes: Lanes;
  private readonly holds: Holds<Holder>;
  private readonly held: Held;
  private readonly intake: Intake;
  private readonly relief: Relief;
  private readonly requeued: RequeuedLetters;
  private readonly parking: Parking;
  /** What turns read of timers is held in the log as messages are. */
  readonly timers: TimerFeed;
  private hasEnded = false;
  private readonly recovery = Promise.withResolvers<KeptLetters['resolved']>();
  /** Resolves once the box has been read: to what is not to be delivered from the log. */
  readonly recovered: Promise<KeptLetters['resolved']> = this.recovery.promise;
  private readonly unconfirmed: Unconfirmed<Open>;
  private readonly hasStopped = (): boolean => this.stop.signal.aborted || this.sender.closed !== undefined;

  constructor(
    sender: MessageSender,
    control: ControlBlockWriter<'host'>,
    settings: MessageSettings,
    events: DeliveryEvents,
    held: Held = new Held(),
  ) {
    this.sender = sender;
    this.control = control;
    this.tally = new Tally(events);
    this.holds = new Holds(control);
    this.held = held;
    this.lanes = new Lanes(this.holds, this.held);
    this.timers = new TimerFeed(this.holds);
    const notCounted = (): void => this.tally.ended(1);
    this.intake = new Intake(this.holds, this.held, this.stop.signal, (...which) => this.take(...which), notCounted);
    this.relief = new Relief(control, this.holds, () => this.hasEnded);
    this.unconfirmed = new Unconfirmed((open, isStored) => this.concluded(open, isStored), this.hasStopped);
    this.requeued = new RequeuedLetters(this.holds, this.stop.signal, this.tally, {
      deliver: (...which) => this.deliver(...which),
      confirmed: (answer) => this.confirmed(answer),
    });
    this.parking = new Parking(sender, settings, this.tally, this.stop.signal);
    this.parts = {
      sender,
      settings,
      onHeldUp: (message, error) => this.tally.heldUp(message, error),
      suspects: new Suspects(),
      carriedOut: new Map(),
    };
  }

  get counts(): Required<MessageCounts> {
    const { underWay, refusedCount: refused, failedCount: failed } = this.tally;
    return { underWay, refused, failed, deadLetters: this.box?.total ?? 0 };
  }

  /** The log wants room that messages hold. */
  get isReliefDue(): boolean {
    return this.relief.isDue;
  }

  /**
   * What the last run has left: its dead letters, and messages that it had written and perhaps not carried out. `care`: what
   * was open after the process had ended in the middle.
   */
  recover(lastRun: LastRun, box: LetterBox, kept: KeptLetters, care: Care = carefree): void {
    this.box = box;
    this.care = care;
    this.relief.begin(box, lastRun.log);
    this.parts = { ...this.parts, carriedOut: lastRun.carriedOut };
    this.lanes.begin(lastRun, box);
    this.tally.began(lastRun.messages + kept.waiting);
    this.intake.begin(lastRun, box, kept.resolved);
    // A letter's outcome stays in the log until the letter is gone.
    for (const key of kept.carriedOut) this.lanes.get(key).held ??= this.holds.add(lastRun.from);
    this.holds.begin();
    for (const key of box.requested()) this.requeue(key); // also those that came while shards started
    this.publishKept();
    this.recovery.resolve(kept.resolved);
  }

  /**
   * The same where the box could not be read: once it can be. Until then the log keeps what the last run has left there, and
   * what comes now.
   */
  recoverLater(lastRun: LastRun, box: LetterBox, load: () => Promise<KeptLetters>, care: Care = carefree): void {
    const { from, messages, carriedOut } = lastRun;
    const hold = messages + carriedOut.size > 0 ? this.holds.add(from) : undefined;
    this.tally.began(messages);
    this.holds.begin();
    unawaited(
      readInTheEnd(load, this.stop.signal).then((kept) => {
        if (kept === undefined) return;
        this.tally.ended(messages);
        this.recover(lastRun, box, kept, care);
        this.holds.release(hold);
      }),
    );
  }

  /** There is room for a further message in memory. */
  get hasRoom(): boolean {
    return this.box !== undefined && this.held.hasRoom;
  }

  /** A timer is due: its message is delivered. The box lets go of it as of one that waits there. Where one lane has one at a time. */
  due(message: Message, watch: Watch): void {
    this.tally.began(1);
    const isDone = !this.sender.progress.isStoreElsewhere && this.parts.carriedOut.has(message.id);
    this.start(this.lanes.take(message, true, isDone, watch));
  }

  add(frame: FrameReader, position: number): void {
    this.tally.began(1);
    if (this.intake.isLive) this.take(messageIn(frame, position)!, false);
    else this.intake.leave(position);
  }

  /** The box has a request to deliver a lane's dead letters again. */
  requeue(key: string): void {
    this.start(this.lanes.get(key));
  }

  /** Dead letters have been discarded, of this lane among others. */
  discarded(key: string, ids: ReadonlySet<string>): void {
    const lane = this.lanes.get(key);
    if (lane.letter !== undefined && ids.has(lane.letter.id)) lane.letter.givenUp.abort();
    this.start(lane);
  }

  private take(message: Message, isKept: boolean): void {
    const isDone = !this.sender.progress.isStoreElsewhere && this.parts.carriedOut.has(message.id);
    this.start(this.lanes.take(message, isKept, isDone));
  }

  private start(lane: Lane): void {
    if (lane.isRunning || this.box === undefined) return;
    lane.isRunning = true;
    unawaited(this.run(lane, this.box));
  }

  /** Until the lane has nothing to do: it says so in the turn in which it has looked. */
  private async run(lane: Lane, box: LetterBox): Promise<void> {
    try {
      while (!this.stop.signal.aborted) {
        try {
          const work = this.step(lane, box);
          if (work === undefined || !(await work)) return;
        } catch {
          // The box could not be read, or the runtime stops: everything stays as it is there and in the log.
          await pauseUnless(this.stop.signal, lookAgainMs);
        }
      }
    } finally {
      lane.isRunning = false;
      this.lanes.ended(lane);
    }
  }

  /** One message, or one letter; false: the runtime stops. undefined: there is nothing to do. */
  private step(lane: Lane, box: LetterBox): Promise<boolean> | undefined {
    if (!lane.mayGoOn()) return undefined;
    const open = lane.waiting[0];
    if (open === undefined && lane.hasLater) return this.lanes.refill(lane);
    const request = box.requestOf(lane.key);
    // A void message came before any letter of its lane.
    if (request === undefined || open?.isVoid) return open && this.first(lane, box, open);
    return lane.unconfirmed > 0 ? undefined : this.requeued.again(lane, box, request);
  }

  private async first(lane: Lane, box: LetterBox, open: Open): Promise<boolean> {
    const { message } = open;
    if (isOver(open)) {
      lane.leave(open);
      this.answered(lane, open, undefined); // what has ended it is written, and may not be synced
      return true;
    }
    if (this.unconfirmed.isFull) {
      await pauseUnless(this.stop.signal, lookAgainMs);
      return true;
    }
    const isBehind = box.count(lane.key) > 0 && (await lane.isBehind(box, open, this.parts.carriedOut));
    const onOutcome = (position: number): void => {
      open.isEnding = true;
      // Else the message itself is held, which comes before.
      if (open.isKept) open.outcome ??= this.holds.add(position);
    };
    const end = isBehind
      ? undefined
      : (lane.failed ?? (await this.deliver(lane, message, this.stop.signal, onOutcome, open)));
    if (end?.kind === 'stopped') return false;
    if (end?.kind === 'held') return true; // others have come before it
    if (end === undefined || end.kind === 'failed') {
      open.isEnding = false;
      if (!isBehind && !lane.mayPark(end)) return true;
      if (!(await this.parking.park(box, open, end))) return true;
      this.settle(open);
    } else {
      open.isEnding = true;
      if (end.kind === 'refused') this.tally.refused(message, end.error);
      this.answered(lane, open, end.answer);
    }
    lane.leave(open);
    return true;
  }

  private deliver(
    lane: Lane,
    message: Message,
    stopped: AbortSignal,
    onOutcome: (position: number) => void,
    open?: Open,
  ): Promise<DeliveryEnd> {
    const mayBegin = (): boolean => !lane.isHeld && (open === undefined || !isOver(open));
    return deliverWithCare(this.care, message, this.parts, stopped, onOutcome, mayBegin);
  }

  private confirmed(answer: Answer | undefined): ReturnType<typeof lasts> {
    return lasts(answer, this.sender, this.control.position('written'), this.hasStopped);
  }

  /** It has an outcome; see `confirmed`. */
  private answered(lane: Lane, open: Open, answer: Answer | undefined): void {
    if (answer !== undefined && this.sender.progress.isStoreElsewhere) {
      lane.unconfirmed++;
      this.held.release(heapBytesOf(open.message));
      return this.unconfirmed.add(open, answer, heapBytesOf(open.message));
    }
    unawaited(
      this.confirmed(undefined).then((end) => {
        if (end === 'lasts') this.finish(open); // what ends the runtime ends no message: the next start delivers it
      }),
    );
  }

  /** The store has its outcome, or has refused it: then the message is as if it had never been delivered. */
  private concluded(open: Open, isStored: boolean): void {
    const lane = this.lanes.get(laneOf(open.message));
    lane.unconfirmed--;
    this.held.take(heapBytesOf(open.message));
    if (isStored) this.finish(open);
    else {
      this.holds.release(open.outcome);
      lane.takeBack(open);
    }
    if (lane.unconfirmed === 0) this.start(lane);
  }

  /** The store has refused events of these: what their lanes have sent may be void. */
  fenced(targets: readonly Address[]): void {
    this.lanes.hold(targets);
  }

  /** Its outcome lasts: the box may forget it, and then the log may. */
  private finish(open: Open): void {
    if (!open.isKept) return this.settle(open);
    unawaited(
      (open.watch ?? this.box!).release(open.message).then(() => this.settle(open)),
      () => {}, // the runtime is closed; the next start finds both
    );
  }

  private settle(open: Open): void {
    this.tally.ended(1);
    this.holds.release(open.hold);
    this.holds.release(open.outcome);
    this.held.release(heapBytesOf(open.message));
    this.intake.look();
    this.publishKept();
    open.watch?.ended();
  }

  /** All messages and outcomes up to `written` have been read. */
  settledUpTo(written: number): void {
    this.holds.readUpTo(written);
    this.intake.endTurn(written);
    this.relief.look();
    this.publishKept();
  }

  /** What waits in the box, and timers in memory, count with what the log holds: so users wait before it grows without end. */
  private publishKept(): void {
    const kib = Math.ceil(((this.box?.waitingBytes ?? 0) + this.timers.heldBytes) / 1024);
    if (kib !== this.control.flag(Signal.waitingKib)) this.control.setFlag(Signal.waitingKib, kib);
  }

  /** Nothing more is delivered. */
  close(): void {
    this.stop.abort();
  }

  /** All that was in progress has ended, and nothing more comes into the log. */
  end(): void {
    this.hasEnded = true;
  }
}
