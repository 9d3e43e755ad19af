// Publishes events of entities from the caller's own thread, through a ring of its own, into the log. One call is one
// group: all of its events enter the log together or not at all.

import { checkId, invalid } from '../base/checks.ts';
import { dateMs } from '../base/clock.ts';
import { isError, TrunklineError } from '../base/errors.ts';
import { checkFields } from '../base/known-fields.ts';
import type { Logger } from '../base/logger.ts';
import { printAs } from '../base/one-line.ts';
import { RunningCode } from '../base/running.ts';
import { carriedOut } from '../base/wait.ts';
import type { CommandDispatcher } from '../dispatch/dispatcher.ts';
import type { OtherRing } from '../dispatch/in-flight.ts';
import { CommandReceipt } from '../dispatch/receipt.ts';
import { Slots } from '../dispatch/slots.ts';
import { eachFrame } from '../log/frames.ts';
import type { LogSource } from '../log/log.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import type { NewEvent } from '../model/event.ts';
import { checkLevel, type Level, type Receipt } from '../model/receipt.ts';
import { type ControlBlock, Signal } from '../shared/control-block.ts';
import { LogRoom } from '../shared/log-signals.ts';
import type { Notifier } from '../shared/notifier.ts';
import { RingConsumer } from '../shared/ring/consumer.ts';
import { RingProducer } from '../shared/ring/producer.ts';
import { createRing, GROUP_HEADER_BYTES, GroupKind, Word } from '../shared/ring/ring.ts';
import { FrameFlag, FrameKind, FrameReader, frameBytesBound, frameBytesExact } from '../wire/frame.ts';
import { writeIdText, writeNewId } from '../wire/ids.ts';
import type { Address } from '../wire/message.ts';
import { EntityTurns } from './entity-turns.ts';
import { Heads } from './heads.ts';
import { Later } from './later.ts';
import { type Draft, draftEvents, type Prepared, prepareDrafts } from './prepared.ts';
import type { EntitySettings, PublisherParts } from './settings.ts';
import type { Transactions } from './transactions.ts';

interface Publishing {
  events: readonly Prepared[];
  resolve: (receipt: CommandReceipt) => void;
  reject: (error: unknown) => void;
}

/** A group of events that a commit holds a place for: everything that can be refused of it has been. */
export interface Reserved {
  /** Write it, after the commit; resolves at the level. */
  publish(level: Level): Promise<Receipt<undefined>>;
  /** There is no commit: nothing is written, and its versions go to others. */
  giveUp(): void;
}

/** Publishes events of entities; see `publish`, `publishBatch`, `publishAsync`. */
export class EventPublisher {
  /** @internal */
  readonly ring: SharedArrayBuffer;
  /** @internal For the host's turns, which are the ring's last reader. */
  readonly reading: OtherRing;
  private readonly dispatcher: CommandDispatcher;
  private readonly heads: Heads;
  private readonly actorTypes: ReadonlyMap<string, AnyAggregate>;
  private readonly options: EntitySettings;
  private readonly producer: RingProducer;
  private readonly logNotifier: Notifier;
  private readonly slots: Slots<Publishing>;
  /** @internal Commits of units of work: what they have reserved is in flight until they end. */
  readonly commits: RunningCode = new RunningCode();
  /** Slots of what waits for room, in order. */
  private waiting: number[] = [];
  private waitingEvents = 0;
  private readonly later = new Later(() => this.flushWaiting());

  private readonly control: ControlBlock;
  private readonly turns: EntityTurns;
  private readonly transactions: Transactions;

  /** @internal */
  constructor({ dispatcher, control, storedHead, actorTypes, options, transactions, lookUp }: PublisherParts) {
    this.dispatcher = dispatcher;
    this.transactions = transactions;
    this.control = control;
    this.heads = new Heads(control, storedHead);
    this.actorTypes = actorTypes;
    this.options = options;
    const { maxInFlight: limit, waitTimeoutMs } = options;
    this.turns = new EntityTurns({ heads: this.heads, lookUp, limit, waitTimeoutMs });
    this.ring = createRing(options.ringBytes);
    this.producer = new RingProducer(this.ring, () => false);
    this.logNotifier = control.notifier(Signal.logNotifier);
    this.slots = new Slots(options.maxInFlight);
    const groups = new RingConsumer(this.ring, Word.tail);
    this.reading = {
      groups,
      frame: new FrameReader(groups.bytes),
      onGroup: (ring) => this.written(ring),
      hasWaiting: () => this.waiting.length > 0,
      endTurn: () => this.flushWaiting(),
      fail: (error) => this.fail(error),
      inFlight: () => this.slots.count + this.turns.count,
    };
  }

  /**
   * Publish events, in order, as one group; resolves when they have come to the runtime's `ack` level.
   * An event's `id` is not compared with those in the store: one that is published twice is stored twice.
   * The expected version is the guard against repetition (`version`, or `save` with `expectedVersion`).
   * @throws AggregateTypeOwnedElsewhere, ConcurrencyConflict, UnserialisableValue, InvalidId, InvalidOptions, CommandTooLarge, RingFull,
   * RuntimeClosed (as rejections)
   */
  publish(...events: NewEvent[]): Promise<Receipt<undefined>> {
    return this.publishBatch(events);
  }

  /** The same with a list, and a level of its own to wait for. */
  async publishBatch(
    events: readonly NewEvent[],
    options: { ack?: Level | undefined } = {},
  ): Promise<Receipt<undefined>> {
    checkFields('publishBatch', options, ['ack']);
    if (options.ack !== undefined) checkLevel('ack', options.ack);
    if (options.ack === 'published' && !this.hasStream)
      invalid('ack', options.ack, 'needs a stream, and none is configured');
    return this.appendAt(events, undefined, options.ack ?? this.options.ack);
  }

  /**
   * @internal The same for events of one aggregate, if it is at `expectedVersion`; resolves when they are `stored`.
   * @throws ConcurrencyConflict, and as `publish` does
   */
  save(events: readonly NewEvent[], expectedVersion: number | undefined): Promise<Receipt<undefined>> {
    return this.appendAt(events, expectedVersion, 'stored');
  }

  /**
   * Publish without waiting: checks the events, puts them into the ring, and returns. What is refused is thrown; what goes
   * wrong afterwards is logged. Events that `saveWithTx` has taken are not published again: for them this is the hint that
   * their transaction has committed.
   */
  publishAsync(...events: NewEvent[]): void {
    const { transactions } = this;
    if (events.some((event) => transactions.hasTaken(event))) {
      transactions.committed();
      events = events.filter((event) => !transactions.hasTaken(event));
      if (events.length === 0) return;
    }
    const drafts = this.draft(events);
    this.turns
      .take(drafts, () => this.append(this.prepare(drafts)))
      .catch((error: unknown) => {
        this.options.logger.error(
          { err: error, count: events.length },
          'events published without waiting were not written',
        );
      });
  }

  /** @internal */
  get logger(): Logger {
    return this.options.logger;
  }

  /** @internal */
  get ack(): Level {
    return this.options.ack;
  }

  /** @internal */
  get hasStream(): boolean {
    return this.dispatcher.hasStream;
  }

  /**
   * @internal Before a commit: check the events, and hold their versions and their place in flight until they are published or
   * given up. Others that want the same entities wait until then.
   * @throws as `publish` does
   */
  reserve(events: readonly NewEvent[]): Promise<Reserved> {
    const drafts = this.draft(events);
    return this.turns.hold(drafts, (release) => {
      const prepared = this.prepare(drafts);
      if (this.dispatcher.rejectsWhenFull && !this.hasRoom()) throw this.tooManyUnstored();
      const { slot, promise } = this.takeSlot(prepared);
      promise.catch(() => {}); // `publish` reports a runtime that fails meanwhile
      return {
        publish: (level) => {
          if (this.slots.get(slot)?.events === prepared) this.write(slot, false);
          release();
          return this.arrived(promise, level);
        },
        giveUp: () => {
          if (this.slots.get(slot)?.events === prepared) this.slots.remove(slot);
          release();
          this.dispatcher.inFlight.settleDrained();
        },
      };
    });
  }

  /** @internal Nothing may be published any more? Then throw why not. */
  admit(): void {
    this.dispatcher.admit();
  }

  /**
   * The version of an entity, everything published so far included; 0 if there is none.
   * @throws InvalidId, RuntimeClosed, LogPoisoned
   */
  version(type: string, id: string): number {
    checkId('aggregate type', type);
    checkId('aggregate id', id);
    if (this.dispatcher.closed) throw this.dispatcher.closed;
    return this.heads.version(type, id);
  }

  /** @internal Another log has written these. */
  fenced(aggregates: readonly Address[]): void {
    for (const { aggregateType, aggregateId } of aggregates) this.heads.forgetOne(aggregateType, aggregateId);
  }

  private async appendAt(
    events: readonly NewEvent[],
    expectedVersion: number | undefined,
    level: Level,
  ): Promise<Receipt<undefined>> {
    const drafts = this.draft(events);
    const appended = this.turns.take(drafts, () => this.append(this.prepare(drafts, expectedVersion)));
    return this.arrived(appended, level);
  }

  private async arrived(appended: Promise<CommandReceipt>, level: Level): Promise<Receipt<undefined>> {
    const receipt = await appended;
    if (level !== 'raised') await carriedOut(receipt.whenAt(level));
    return receipt as Receipt<undefined>;
  }

  /** @internal Versions of entities whose last events are in the log and not yet in this machine's environment. */
  recover(log: LogSource, from: number, to: number): void {
    eachFrame(log, from, to, (frame, position) => {
      const type = frame.aggregateType;
      if (frame.kind !== FrameKind.event || this.actorTypes.has(type)) return;
      if ((frame.flags & FrameFlag.alreadyStored) !== 0) return; // a transaction's
      this.heads.written(type, frame.aggregateId, frame.version, position);
    });
  }

  /** In the call, whenever its turn comes: check everything but versions, and take what was given as it is now. */
  private draft(events: readonly NewEvent[]): readonly Draft[] {
    this.dispatcher.admit();
    const { actorTypes, transactions } = this;
    const drafts = draftEvents(events, { actorTypes, transactions });
    this.checkSize(drafts);
    return drafts;
  }

  /**
   * Give every event its version, before anything is written. `append` takes those versions in the same turn, so that no other
   * publishing comes in between.
   */
  private prepare(drafts: readonly Draft[], expectedVersion?: number): readonly Prepared[] {
    this.dispatcher.admit();
    return prepareDrafts(drafts, this.heads, expectedVersion);
  }

  /** What the ring can never take is refused before it gets versions: those behind it would follow a gap. */
  private checkSize(events: readonly Draft[]): void {
    const size = (bytesOf: typeof frameBytesBound): number =>
      events.reduce((sum, { aggregateType, aggregateId, type, metadataJson, dataJson }) => {
        return sum + bytesOf(aggregateType, aggregateId, type, metadataJson, dataJson);
      }, GROUP_HEADER_BYTES);
    if (this.producer.takes(size(frameBytesBound))) return;
    const bytes = size(frameBytesExact);
    if (!this.producer.takes(bytes)) throw new TrunklineError('CommandTooLarge', { bytes, limit: this.producer.limit });
  }

  /** Into the ring now, or, if it is full, as soon as there is room. Throws what refuses it. */
  private append(events: readonly Prepared[]): Promise<CommandReceipt> {
    const { slot, promise } = this.takeSlot(events);
    this.write(slot, this.dispatcher.rejectsWhenFull);
    return promise;
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
    this.turns.fail(error);
  }
}

printAs(EventPublisher, () => 'EventPublisher');
