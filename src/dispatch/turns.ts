// The caller's turns. One turn, whenever something has been written: read each ring up to what the log has, release the
// replies that wait for `written`, hand events to the bus in log order, pass questions and messages on. Invariant 4 is kept
// here: nothing leaves a ring before the log thread has said `written`, save replies to callers that asked for `raised`.
//
// Invariant: no exception leaves a turn, and none keeps the next frame, group, event, step or sleep from coming. Each of
// these is tried by itself, and what it throws is handed to `report`. A turn runs listeners, which may ask for another one
// (`setFlush`): that begins when this one has told them everything, since there is never a turn within a turn.

import { TrunklineError } from '../base/errors.ts';
import type { Bus } from '../bus/bus.ts';
import { decodeEvent, type StoredEvent } from '../model/event.ts';
import type { AggregateEvolution, Evolution } from '../model/evolution.ts';
import { eventsToday } from '../model/evolved-event.ts';
import { type ControlBlockWriter, Signal } from '../shared/control-block.ts';
import type { Parker } from '../shared/notifier.ts';
import type { RingConsumer } from '../shared/ring/consumer.ts';
import { GroupFlag, GroupKind } from '../shared/ring/ring.ts';
import { FrameKind, type FrameReader } from '../wire/frame.ts';
import type { Address } from '../wire/message.ts';
import { answerAsk } from './answers.ts';
import type { CommandTaps } from './command-taps.ts';
import type { InFlight, OtherRing } from './in-flight.ts';
import type { NamedSender } from './named-sender.ts';
import type { Pending } from './pending.ts';
import type { Refusals } from './refusals.ts';
import { answer, type ReplyContext } from './replies.ts';
import type { ShardChannel } from './shard-channel.ts';
import type { TimerFeed } from './timer-feed.ts';

/** Takes the messages between aggregates that turns read; see `deliveries.ts`. */
export interface MessageTaker {
  /** The log wants room that messages hold. */
  readonly isReliefDue: boolean;
  add(frame: FrameReader, position: number): void;
  /** All messages and outcomes up to `written` have been read. */
  settledUpTo(written: number): void;
  /** The store has refused events of these: what their lanes have sent may be void. */
  fenced(targets: readonly Address[]): void;
}

/** What turns handle, and pass on to. */
export interface TurnsParts extends ReplyContext {
  readonly inFlight: InFlight;
  readonly refusals: Refusals;
  readonly deliveries: MessageTaker;
  readonly timers: Pick<TimerFeed, 'add'>;
  readonly taps: CommandTaps;
  /** How the events of entities are read: one may come in an older version. */
  readonly entityEvents: Evolution;
  /** Questions go this way. */
  readonly sender: NamedSender;
}

export class Turns {
  private readonly parts: TurnsParts;
  private readonly inFlight: InFlight;
  private readonly control: ControlBlockWriter<'host'>;
  private readonly bus: Bus;
  private readonly report: (error: unknown) => void;
  private readonly parker: Parker;
  /** What follows the reading, in order. */
  private readonly steps: readonly (() => void)[];
  private readonly hasWork = (): boolean => this.looksForWork();
  private heard: StoredEvent[] = [];
  /** Read once per pass: groups behind it wait for the next pass, so that the bus hears events in log order. */
  private written = 0;
  /** What the log has left, and how often that has become more, as last seen; see `LogRoom`. */
  private room = 0;
  private openings = 0;
  private isTurning = false;
  /** A listener has asked for another turn. */
  private isDueAgain = false;

  /** `report` takes unexpected exceptions, and must not throw. */
  constructor(parts: TurnsParts, control: ControlBlockWriter<'host'>, bus: Bus, report: (error: unknown) => void) {
    this.parts = parts;
    this.inFlight = parts.inFlight;
    this.control = control;
    this.bus = bus;
    this.report = report;
    this.parker = control.parker();
    this.steps = [
      () => this.tellBus(),
      () => parts.deliveries.settledUpTo(this.written),
      () => parts.progress.advance(),
      () => parts.taps.current?.endTurn(),
      () => this.tellRoom(),
    ];
  }

  /** Handle everything that has happened since the last turn, then ask to be woken. */
  turn(): void {
    this.isDueAgain = this.isTurning;
    if (this.isTurning) return;
    this.isTurning = true;
    try {
      this.takeTurn();
    } finally {
      this.isTurning = false;
    }
  }

  private takeTurn(): void {
    const { inFlight, control } = this;
    this.parker.rise();
    do {
      this.isDueAgain = false;
      if (control.isPoisoned) {
        // Whatever the rings hold: once a write or a sync has failed, nothing is acknowledged any more.
        inFlight.fail(
          inFlight.closed ?? new TrunklineError('LogPoisoned', { cause: 'a write or a sync of the log failed' }),
        );
        return;
      }
      this.written = control.position('written');
      for (const channel of inFlight.channels) {
        if (channel.ackOnRaise > 0) this.readUncommitted(channel);
        this.read(channel.groups, channel.frame, channel, undefined);
      }
      for (const other of inFlight.others) this.read(other.groups, other.frame, undefined, other);
      for (const step of this.steps) this.take(step);
      for (const channel of inFlight.channels) if (channel.hasOverflow) this.take(() => channel.flushOverflow());
      for (const other of inFlight.others) if (other.hasWaiting()) this.take(() => other.endTurn());
    } while (this.isDueAgain || !this.parker.arm(this.hasWork));
    inFlight.settleDrained();
  }

  /** The log has room again: commands that shards hold may begin. Each word is read once, so that no change goes unseen. */
  private tellRoom(): void {
    const room = this.control.flag(Signal.full);
    const openings = this.control.flag(Signal.openings);
    const hasMore = openings !== this.openings || room < this.room;
    this.room = room;
    this.openings = openings;
    if (hasMore) for (const channel of this.inFlight.channels) channel.ring();
  }

  /** By the count as well: between two looks it may have been more, and be less again. */
  private hasMoreRoom(): boolean {
    return this.control.flag(Signal.openings) !== this.openings || this.control.flag(Signal.full) < this.room;
  }

  private take(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.report(error);
    }
  }

  private looksForWork(): boolean {
    const { channels, others } = this.inFlight;
    const { progress, deliveries } = this.parts;
    for (const { groups, uncommitted, ackOnRaise } of channels) {
      if (groups.written() !== groups.cursor) return true;
      if (ackOnRaise > 0 && groups.published() > Math.max(groups.cursor, uncommitted.cursor)) return true;
    }
    for (const { groups } of others) if (groups.written() !== groups.cursor) return true;
    if (this.hasMoreRoom() || deliveries.isReliefDue) return true;
    return progress.hasMoved() || (this.inFlight.count > 0 && this.control.isPoisoned);
  }

  /** The groups of one ring that are in the log: a shard's, or another's of this thread. */
  private read(
    ring: RingConsumer,
    frame: FrameReader,
    channel: ShardChannel | undefined,
    other: OtherRing | undefined,
  ): void {
    const limit = ring.written();
    if (limit === ring.cursor) return;
    while (ring.take(limit)) {
      if (ring.firstPosition + ring.frameCount - 1 > this.written) {
        ring.untake();
        break;
      }
      if ((ring.flags & GroupFlag.messages) !== 0 || !this.bus.isIdle) this.readFrames(ring, frame);
      try {
        if (other) other.onGroup(ring);
        else if (ring.kind === GroupKind.reply) this.settle(ring);
        else if (ring.kind === GroupKind.fenced) {
          this.parts.refusals.fences.concluded(ring.slot, ring.firstPosition + ring.frameCount - 1);
        } else if (ring.kind === GroupKind.ask && channel) {
          answerAsk(this.parts, channel, ring.slot, frame.at(ring.framesStart));
        }
      } catch (error) {
        this.report(error);
      }
    }
    ring.release();
    ring.ringRoom();
  }

  private readFrames(ring: RingConsumer, frame: FrameReader): void {
    frame.at(ring.framesStart);
    for (let i = 0; i < ring.frameCount; i++) {
      const { next } = frame;
      try {
        this.readFrame(frame, ring.firstPosition + i);
      } catch (error) {
        this.report(error);
      }
      frame.at(next);
    }
  }

  private readFrame(frame: FrameReader, position: number): void {
    if (frame.kind === FrameKind.event) {
      if (this.bus.isIdle) return;
      const { progress, entityEvents } = this.parts;
      const type = progress.todaysType(frame.aggregateType);
      const entity = entityEvents.ofStored(frame.aggregateType);
      if (entity !== undefined) this.hear(frame, position, entity);
      else if (this.bus.wants(type, frame.name)) this.heard.push(decodeEvent(frame, position, type));
    } else if (frame.kind === FrameKind.message) {
      this.parts.deliveries.add(frame, position);
    } else if (frame.kind === FrameKind.timer) {
      this.parts.timers.add(frame, position);
    }
  }

  /** An entity's, as it is today. Of a split the parts say whether one is wanted. */
  private hear(frame: FrameReader, position: number, { aggregateType, names }: AggregateEvolution): void {
    const known = names.get(frame.name);
    if (known?.kind !== 'split' && !this.bus.wants(aggregateType, known?.type ?? frame.name)) return;
    const events = eventsToday([decodeEvent(frame, position)], this.parts.entityEvents);
    this.heard.push(...events.filter(({ type }) => this.bus.wants(aggregateType, type)));
  }

  private tellBus(): void {
    if (this.heard.length === 0) return;
    const { heard } = this;
    this.heard = [];
    heard.sort((a, b) => a.position - b.position);
    for (const event of heard) {
      try {
        this.bus.emit(event);
      } catch (error) {
        this.report(error);
      }
    }
    this.bus.endTurn();
  }

  /** A reply that is in the log. */
  private settle(ring: RingConsumer): void {
    const { slots } = this.inFlight;
    const { slot } = ring;
    const pending = slots.get(slot);
    if (pending === undefined) return;
    slots.remove(slot);
    if (pending.ack === 'raised') pending.channel.ackOnRaiseEnds();
    if (pending.raised) pending.raised.written(ring.firstPosition);
    if (pending.onOutcome !== undefined && ring.frameCount > 0) pending.onOutcome(ring.firstPosition);
    if (!pending.answered) this.answer(pending, ring, ring.firstPosition);
    const { current: tap } = this.parts.taps;
    if (tap === undefined) return;
    if (pending.tapped === undefined) tap.passed(pending.type, pending.id);
    else tap.settled(pending.type, pending.tapped, ring);
  }

  /**
   * Replies to callers that wait for `raised` only: they need not wait for the log. The uncommitted reader stands still
   * while no caller waits for `raised`: it begins where the reading is, and looks no further than a ring is long.
   */
  private readUncommitted(channel: ShardChannel): void {
    const { uncommitted, groups } = channel;
    uncommitted.skipTo(groups.cursor);
    const limit = groups.published();
    while (uncommitted.take(limit)) {
      if (uncommitted.kind !== GroupKind.reply || (uncommitted.flags & GroupFlag.ackOnRaise) === 0) continue;
      const pending = this.inFlight.slots.get(uncommitted.slot);
      if (pending && !pending.answered) this.answer(pending, uncommitted, 0);
    }
  }

  /** Whatever is wrong with a reply, its caller has an answer. */
  private answer(pending: Pending, ring: RingConsumer, firstPosition: number): void {
    try {
      answer(this.parts, pending, ring, firstPosition);
    } catch (error) {
      pending.fail(error);
    }
  }
}
