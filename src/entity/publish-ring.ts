// The publisher's own ring into the log, and what waits for it: groups that are in it and not written yet, and groups that wait for
// room, in their order. Owned by the host thread; the log thread reads the ring.
//
// Invariants: a group has a slot from before it is written until the log has written it, or it is given up; what waits for room is
// written before what comes later. A group that the ring can never take is refused before it gets versions: those behind it
// would follow a gap.

import { dateMs } from '../base/clock.ts';
import { isError, TrunklineError } from '../base/errors.ts';
import type { CommandDispatcher } from '../dispatch/dispatcher.ts';
import type { OtherRing } from '../dispatch/in-flight.ts';
import { CommandReceipt } from '../dispatch/receipt.ts';
import { Slots } from '../dispatch/slots.ts';
import { type ControlBlock, Signal } from '../shared/control-block.ts';
import { LogRoom } from '../shared/log-signals.ts';
import type { Notifier } from '../shared/notifier.ts';
import { RingConsumer } from '../shared/ring/consumer.ts';
import { RingProducer } from '../shared/ring/producer.ts';
import { createRing, GROUP_HEADER_BYTES, GroupKind, Word } from '../shared/ring/ring.ts';
import { FrameKind, FrameReader, frameBytesBound, frameBytesExact } from '../wire/frame.ts';
import { writeIdText, writeNewId } from '../wire/ids.ts';
import type { Heads } from './heads.ts';
import { Later } from './later.ts';
import type { Draft, Prepared } from './prepared.ts';
import type { EntitySettings } from './settings.ts';

interface Publishing {
  events: readonly Prepared[];
  resolve: (receipt: CommandReceipt) => void;
  reject: (error: unknown) => void;
}

export interface PublishRingParts {
  readonly dispatcher: CommandDispatcher;
  readonly control: ControlBlock;
  readonly heads: Heads;
  readonly options: Pick<EntitySettings, 'ringBytes' | 'maxInFlight' | 'actorLimit'>;
}

/** A place in flight; both calls do nothing once the runtime has failed. */
export interface ReservedSlot {
  /** Resolves when the group is written. */
  readonly written: Promise<CommandReceipt>;
  write(): void;
  giveUp(): void;
}

export class PublishRing {
  readonly memory: SharedArrayBuffer;
  /** Its last reader: the host's turns. */
  readonly groups: RingConsumer;
  private readonly dispatcher: CommandDispatcher;
  private readonly control: ControlBlock;
  private readonly heads: Heads;
  private readonly options: PublishRingParts['options'];
  private readonly producer: RingProducer;
  private readonly logNotifier: Notifier;
  private readonly slots: Slots<Publishing>;
  /** Slots of what waits for room, in order. */
  private waiting: number[] = [];
  private waitingEvents = 0;
  private readonly later = new Later(() => this.flushWaiting());

  constructor({ dispatcher, control, heads, options }: PublishRingParts) {
    this.dispatcher = dispatcher;
    this.control = control;
    this.heads = heads;
    this.options = options;
    this.memory = createRing(options.ringBytes);
    this.producer = new RingProducer(this.memory, () => false);
    this.groups = new RingConsumer(this.memory, Word.tail);
    this.logNotifier = control.notifier(Signal.logNotifier);
    this.slots = new Slots(options.maxInFlight);
  }

  /** For the host's turns. `others`: what else is in flight there, and ends when the runtime fails. */
  reading(others: { readonly count: number; fail(error: TrunklineError): void }): OtherRing {
    return {
      groups: this.groups,
      frame: new FrameReader(this.groups.bytes),
      onGroup: (ring) => this.written(ring),
      hasWaiting: () => this.waiting.length > 0,
      endTurn: () => this.flushWaiting(),
      fail: (error) => {
        this.fail(error);
        others.fail(error);
      },
      inFlight: () => this.slots.count + others.count,
    };
  }

  /** What the ring can never take is refused before it gets versions: those behind it would follow a gap. */
  checkSize(events: readonly Draft[]): void {
    const size = (bytesOf: typeof frameBytesBound): number =>
      events.reduce((sum, { aggregateType, aggregateId, type, metadataJson, dataJson }) => {
        return sum + bytesOf(aggregateType, aggregateId, type, metadataJson, dataJson);
      }, GROUP_HEADER_BYTES);
    if (this.producer.takes(size(frameBytesBound))) return;
    const bytes = size(frameBytesExact);
    if (!this.producer.takes(bytes)) throw new TrunklineError('CommandTooLarge', { bytes, limit: this.producer.limit });
  }

  /** Into the ring now, or, if it is full, as soon as there is room. Throws what refuses it. */
  append(events: readonly Prepared[]): Promise<CommandReceipt> {
    const { slot, promise } = this.takeSlot(events);
    this.write(slot, this.dispatcher.rejectsWhenFull);
    return promise;
  }

  /** A place in flight for a group that is written later, or never. */
  reserve(events: readonly Prepared[]): ReservedSlot {
    if (this.dispatcher.rejectsWhenFull && !this.hasRoom()) throw this.tooManyUnstored();
    const { slot, promise } = this.takeSlot(events);
    promise.catch(() => {}); // who writes it learns of a runtime that fails meanwhile
    const isOurs = (): boolean => this.slots.get(slot)?.events === events;
    return {
      written: promise,
      write: () => {
        if (isOurs()) this.write(slot, false);
      },
      giveUp: () => {
        if (isOurs()) this.slots.remove(slot);
      },
    };
  }

  private takeSlot(events: readonly Prepared[]): { slot: number; promise: Promise<CommandReceipt> } {
    if (this.slots.isFull) throw new TrunklineError('TooManyInFlight', { limit: this.slots.limit });
    const { promise, resolve, reject } = Promise.withResolvers<CommandReceipt>();
    return { slot: this.slots.add({ events, resolve, reject }), promise };
  }

  /** `mayRefuse`: throw instead of waiting for room. */
  private write(slot: number, mayRefuse: boolean): void {
    const { events } = this.slots.get(slot)!;
    try {
      const hasRoom = this.hasRoom();
      if (this.waiting.length > 0 || !hasRoom || !this.tryWrite(slot, events)) {
        const { ringBytes } = this.options;
        if (mayRefuse) throw hasRoom ? new TrunklineError('RingFull', { ringBytes }) : this.tooManyUnstored();
        this.waiting.push(slot);
        this.waitingEvents += events.length;
        if (!hasRoom) this.later.start();
      }
    } catch (error) {
      this.slots.remove(slot);
      throw error;
    }
    for (const { aggregateType, aggregateId, version } of events) {
      this.heads.publishing(aggregateType, aggregateId, version);
    }
  }

  private tooManyUnstored(): TrunklineError {
    return new TrunklineError('TooManyUnstored', { limit: this.options.actorLimit });
  }

  /** False if there is no room; nothing is written then. */
  private tryWrite(slot: number, events: readonly Prepared[]): boolean {
    const { producer, control } = this;
    // The log's last room is for what frees it.
    const mayWait = !this.dispatcher.rejectsWhenFull;
    if (mayWait && control.flag(Signal.full) !== LogRoom.plenty) return false;
    try {
      for (const event of events) {
        const now = dateMs();
        const offset = producer.frame(
          FrameKind.event,
          event.schemaVersion,
          event.occurredAt ?? now,
          event.version,
          event.aggregateType,
          event.aggregateId,
          event.type,
          event.metadataJson,
          event.dataJson,
        );
        const { bytes } = producer.frames;
        if (event.id === undefined) writeNewId(bytes, offset + 16, now);
        else writeIdText(bytes, offset + 16, event.id);
      }
      producer.publish(GroupKind.publish, 0, slot, events.at(-1)!.version, '');
    } catch (error) {
      producer.abandon();
      if (isError(error, 'RingFull')) return false;
      throw error;
    }
    this.logNotifier.notify();
    return true;
  }

  /** Whether the store is near enough: this process must keep in memory what the store does not have yet. */
  private hasRoom(): boolean {
    return this.heads.hasRoom(this.options.actorLimit + this.waitingEvents); // those that wait are among them
  }

  private flushWaiting(): void {
    let count = 0;
    for (const slot of this.waiting) {
      if (!this.hasRoom()) {
        this.later.start();
        break;
      }
      const { events, reject } = this.slots.get(slot)!;
      try {
        if (!this.tryWrite(slot, events)) break;
      } catch (error) {
        // It concerns this one only; those behind it have not waited for it.
        this.slots.remove(slot);
        reject(error);
      }
      this.waitingEvents -= events.length;
      count++;
    }
    if (count > 0) this.waiting = this.waiting.slice(count);
  }

  private written(ring: RingConsumer): void {
    const { slot, firstPosition } = ring;
    const publishing = this.slots.get(slot);
    if (!publishing) return; // the runtime has failed, and rejected them
    const { events, resolve } = publishing;
    this.slots.remove(slot);
    for (const [i, { aggregateType, aggregateId, version }] of events.entries()) {
      this.heads.written(aggregateType, aggregateId, version, firstPosition + i);
    }
    resolve(new CommandReceipt(ring, firstPosition, this.dispatcher.progress));
  }

  private fail(error: TrunklineError): void {
    this.later.stop();
    this.waiting = [];
    this.waitingEvents = 0;
    for (const [slot, { reject }] of this.slots.entries()) {
      this.slots.remove(slot);
      reject(error);
    }
  }
}
