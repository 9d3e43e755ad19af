// The relay's ring into the log: claimed events in groups that each end with the place they lead to. Host thread.
//
// Invariant: a group of frames enters the log whole or not at all, so its last frame, which says how far claimed rows have
// come (the place), is true whenever the log has it.

import { dateMs } from '../base/clock.ts';
import { isError } from '../base/errors.ts';
import { userJson } from '../base/json.ts';
import { tame } from '../base/tame.ts';
import type { OtherRing } from '../dispatch/in-flight.ts';
import { type ControlBlock, Signal } from '../shared/control-block.ts';
import { LogRoom } from '../shared/log-signals.ts';
import type { Notifier } from '../shared/notifier.ts';
import { RingConsumer } from '../shared/ring/consumer.ts';
import { RingProducer } from '../shared/ring/producer.ts';
import { createRing, GroupKind, Word } from '../shared/ring/ring.ts';
import { FrameFlag, FrameKind, FrameReader } from '../wire/frame.ts';
import { writeIdText, writeNewId } from '../wire/ids.ts';
import { misfitOf } from './misfit.ts';
import { NeededBytes } from './needed-bytes.ts';
import { type ClaimedEvent, isBehind, nowhere, type Place, placeName } from './outbox.ts';
import { UnsettledEvents } from './unsettled-events.ts';

/** A group ends with the event that takes it there. */
export const groupBytes: number = 256 << 10;

/** An event that no log can take, with the reason. */
export class Unrelayable {
  readonly event: ClaimedEvent;
  readonly reason: string;

  constructor(event: ClaimedEvent, error: unknown) {
    this.event = event;
    this.reason = tame(error);
  }
}

export class RelayRing {
  readonly memory: SharedArrayBuffer;
  /** For the caller, which is the ring's last reader: listeners hear the events once they are written. */
  readonly reading: OtherRing;
  private readonly producer: RingProducer;
  private readonly logNotifier: Notifier;
  private readonly control: ControlBlock;
  private groupsInRing = 0;
  private lastPlace: Place = nowhere;
  /** Position of the last group that is in the log. */
  private lastPosition = 0;
  /** Events in the ring or the log that the store has still to note the positions of. */
  readonly unsettled: UnsettledEvents = new UnsettledEvents();
  private readonly needed = new NeededBytes();

  /** `onFail`: nothing that is appended from now on will be written. */
  constructor(control: ControlBlock, ringBytes: number, onFail: () => void) {
    this.control = control;
    this.memory = createRing(ringBytes);
    this.producer = new RingProducer(this.memory, () => false);
    this.logNotifier = control.notifier(Signal.logNotifier);
    const groups = new RingConsumer(this.memory, Word.tail);
    this.reading = {
      groups,
      frame: new FrameReader(groups.bytes),
      onGroup: (ring) => this.written(ring),
      hasWaiting: () => false,
      endTurn: () => {},
      fail: onFail,
      inFlight: () => this.groupsInRing,
    };
  }

  /** How far claimed rows have come. */
  get place(): Place {
    return this.lastPlace;
  }

  /** Go on from where the log stands. */
  resume(lastPosition: number, place: Place): void {
    this.lastPosition = lastPosition;
    this.lastPlace = place;
  }

  /**
   * Append the first of these, from `from` on, as one group. Returns how many; 0 if there is no room for it now; the event
   * if it is the first and cannot be appended at all.
   */
  tryAppend(events: readonly ClaimedEvent[], from: number): number | Unrelayable {
    const { producer, control, needed } = this;
    if (control.flag(Signal.full) !== LogRoom.plenty) return 0; // the log's last room is for what frees it
    // These events wait in the database as well as here: half of the log is left to those that have no other place.
    if (needed.from(control.position('floor')) > control.position('admitBytes') / 2) return 0;
    let next = from;
    try {
      for (; next < events.length && producer.end - producer.start < groupBytes; next++) {
        const refused = this.writeEvent(events[next]!);
        if (refused === undefined) continue;
        if (next === from) {
          producer.abandon();
          return refused;
        }
        break; // the next call meets it first
      }
      const { batch, sequence } = events[next - 1]!;
      this.writePlace({ batch, sequence });
    } catch (error) {
      producer.abandon();
      if (isError(error, 'RingFull')) return 0;
      throw error;
    }
    this.groupsInRing++;
    this.unsettled.add(events.slice(from, next));
    this.logNotifier.notify();
    return next - from;
  }

  /** Rows that the store has not settled yet. */
  rowsUnderWay(): number {
    this.unsettled.passed(this.control.position('stored'));
    return this.unsettled.size;
  }

  /** Whether everything that was appended is in the log. */
  get isEmpty(): boolean {
    return this.groupsInRing === 0;
  }

  /** Whether every event of this ring has been passed by all that read the log. */
  isPassed(floor: number): boolean {
    return this.isEmpty && this.lastPosition < floor;
  }

  private writePlace(place: Place): void {
    const { producer } = this;
    const now = dateMs();
    const offset = producer.frame(FrameKind.place, 1, now, 0, '', '', placeName, '', JSON.stringify(place));
    writeNewId(producer.frames.bytes, offset + 16, now);
    const { published } = producer;
    producer.publish(GroupKind.publish, 0, 0, 0, '');
    this.needed.add(producer.published - published);
    this.lastPlace = place;
  }

  /** Throws only what the ring or the log is to blame for; what the event is to blame for is returned. */
  private writeEvent(event: ClaimedEvent): Unrelayable | undefined {
    if (!isBehind(event, this.place)) throw new Error(`row ${event.sequence} of the outbox came a second time`);
    const { producer } = this;
    const misfit = misfitOf(event);
    if (misfit !== undefined) return new Unrelayable(event, new Error(misfit));
    let offset: number;
    try {
      offset = producer.frame(
        FrameKind.event,
        event.schemaVersion,
        event.occurredAt,
        event.version,
        event.aggregateType,
        event.aggregateId,
        event.type,
        event.metadata === null || event.metadata === '{}' ? '' : compact(event.metadata),
        compact(event.data),
      );
    } catch (error) {
      if (isError(error, 'RingFull') || isError(error, 'LogPoisoned')) throw error;
      return new Unrelayable(event, error);
    }
    writeIdText(producer.frames.bytes, offset + 16, event.id);
    producer.frames.addFlags(offset, FrameFlag.alreadyStored);
    return undefined;
  }

  private written(ring: RingConsumer): void {
    this.groupsInRing--;
    this.lastPosition = ring.firstPosition + ring.frameCount - 1;
    this.unsettled.written(this.lastPosition);
    this.needed.written(this.lastPosition);
  }
}

/** jsonb's text has blanks, and 1e300 in full: back to what JSON.stringify makes of the value, as in any other event. */
const compact = (text: string): string => JSON.stringify(userJson(text));
