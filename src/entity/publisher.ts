// Publishes events of entities from the caller's own thread, through a ring of its own, into the log. One call is one
// group: all of its events enter the log together or not at all.

import type { AnyAggregate } from '../aggregate.ts';
import type { Caller } from '../caller/caller.ts';
import { CommandReceipt } from '../caller/receipt.ts';
import { Slots } from '../caller/slots.ts';
import { checkLevel, invalid } from '../checks.ts';
import { dateMs } from '../clock.ts';
import { isError, TrunklineError } from '../errors.ts';
import type { NewEvent } from '../event.ts';
import { FrameFlag, FrameKind, FrameReader, frameBytesBound, frameBytesExact } from '../frame.ts';
import { writeIdText, writeNewId } from '../ids.ts';
import { checkFields } from '../known-fields.ts';
import { metadataToJson } from '../limits.ts';
import { eachFrame } from '../log/frames.ts';
import { type Levels, LevelWord, LogRoom } from '../log/levels.ts';
import type { LogSource } from '../log/log.ts';
import { printAs } from '../one-line.ts';
import type { ResolvedOptions } from '../options.ts';
import { toJson } from '../payload.ts';
import type { Level, Receipt } from '../receipt.ts';
import { Bell } from '../ring/bell.ts';
import { RingConsumer } from '../ring/consumer.ts';
import { RingProducer } from '../ring/producer.ts';
import { createRing, GROUP_HEADER_BYTES, GroupKind, Word } from '../ring/ring.ts';
import { carriedOut } from '../wait.ts';
import { Heads } from './heads.ts';
import { Later } from './later.ts';
import { checkNewEvents } from './new-event.ts';
import type { Transactions } from './transactions.ts';

interface Publishing {
  events: readonly Prepared[];
  resolve: (receipt: CommandReceipt) => void;
  reject: (error: unknown) => void;
}

/** An event with all that will be written of it: what its owner changes in it later does not get in. */
interface Prepared {
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly type: string;
  readonly id: string | undefined;
  readonly schemaVersion: number;
  readonly occurredAt: number | undefined;
  readonly version: number;
  readonly metadataJson: string;
  readonly dataJson: string;
}

/** The version of an entity in the store; from then on it is this log's. @throws StoreUnavailable */
export type HeadLookUp = (type: string, id: string) => Promise<number>;

/** Publishes events of entities; see `publish`, `publishBatch`, `publishAsync`. */
export class EventPublisher {
  /** @internal */
  readonly ring: SharedArrayBuffer;
  private readonly caller: Caller;
  private readonly heads: Heads;
  private readonly actorTypes: ReadonlyMap<string, AnyAggregate>;
  private readonly options: ResolvedOptions;
  private readonly producer: RingProducer;
  private readonly logBell: Bell;
  private readonly slots: Slots<Publishing>;
  /** @internal */
  transactions: Transactions | undefined;
  /** Slots of what waits for room, in order. */
  private waiting: number[] = [];
  private waitingEvents = 0;
  private readonly later = new Later(() => this.flushWaiting());

  private readonly levels: Levels;
  private readonly lookUp: HeadLookUp | undefined;
  private lookUps: Promise<void> = Promise.resolve();

  /** @internal `lookUp`: where the store is elsewhere, and entities may be that nobody here knows. */
  constructor(
    caller: Caller,
    levels: Levels,
    storedHead: (type: string, id: string) => { version: number } | undefined,
    actorTypes: ReadonlyMap<string, AnyAggregate>,
    options: ResolvedOptions,
    lookUp?: HeadLookUp,
  ) {
    this.lookUp = lookUp;
    this.caller = caller;
    this.levels = levels;
    this.heads = new Heads(levels, storedHead);
    this.actorTypes = actorTypes;
    this.options = options;
    this.ring = createRing(options.flush.ringBytes);
    this.producer = new RingProducer(this.ring, () => false);
    this.logBell = new Bell(levels.words, LevelWord.logBell);
    this.slots = new Slots(options.maxInFlight);
    const groups = new RingConsumer(this.ring, Word.tail);
    caller.others.add({
      groups,
      frame: new FrameReader(groups.bytes),
      onGroup: (ring) => this.written(ring),
      hasWaiting: () => this.waiting.length > 0,
      endTurn: () => this.flushWaiting(),
      fail: (error) => this.fail(error),
      inFlight: () => this.slots.count,
    });
  }

  /**
   * Publish events, in order, as one group; resolves when they have come to the runtime's `ack` level.
   * An event's `id` is not compared with those in the store: whoever publishes the same id twice has two events with it.
   * The expected version is the guard against repetition (`version`, or `save` with `expectedVersion`).
   * @throws WrongDoor, ConcurrencyConflict, UnserialisableValue, InvalidId, InvalidOptions, CommandTooLarge, RingFull,
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
    if (transactions !== undefined && events.some((event) => transactions.hasTaken(event))) {
      transactions.committed();
      events = events.filter((event) => !transactions.hasTaken(event));
      if (events.length === 0) return;
    }
    this.whenKnown(events, () => this.append(this.prepare(events))).catch((error: unknown) => {
      this.options.logger.error(
        { err: error, count: events.length },
        'events published without waiting were not written',
      );
    });
  }

  /** @internal */
  get hasStream(): boolean {
    return this.caller.options.hasStream;
  }

  /** @internal Nothing may be published any more? Then throw why not. */
  admit(): void {
    this.caller.admit();
  }

  /**
   * The version of an entity, everything published so far included; 0 if there is none.
   * @throws RuntimeClosed, LogPoisoned
   */
  version(type: string, id: string): number {
    if (this.caller.closed) throw this.caller.closed;
    return this.heads.version(type, id);
  }

  /** @internal Another log has written these. */
  fenced(aggregates: readonly { type: string; id: string }[]): void {
    for (const { type, id } of aggregates) this.heads.forgetOne(type, id);
  }

  private async appendAt(
    events: readonly NewEvent[],
    expectedVersion: number | undefined,
    level: Level,
  ): Promise<Receipt<undefined>> {
    const receipt = await this.whenKnown(events, () => this.append(this.prepare(events, expectedVersion)));
    if (level !== 'raised') await carriedOut(receipt.whenAt(level));
    return receipt as Receipt<undefined>;
  }

  /**
   * Act once the versions of these entities are known: at once, or after the store, where that is elsewhere, has been asked.
   * `act` compares versions and takes the next ones in one turn, the turn in which they are known.
   */
  private whenKnown<T>(events: readonly NewEvent[], act: () => Promise<T>): Promise<T> {
    const { lookUp } = this;
    if (lookUp === undefined || !Array.isArray(events) || events.every((event) => this.isKnown(event))) return act();
    checkNewEvents(events); // before the server is asked about what could not be an id
    const acted = this.lookUps.then(async () => {
      // Again: while the store was asked for one, another log may have written one that was known.
      for (let unknown = events.filter((event) => !this.isKnown(event)); unknown.length > 0; ) {
        for (const { aggregateType: type, aggregateId: id } of unknown) {
          if (!this.heads.isKnown(type, id)) this.heads.learn(type, id, await lookUp(type, id), events.length);
        }
        unknown = events.filter((event) => !this.isKnown(event));
      }
      return { promise: act() }; // the next one's turn comes when this one has been appended, not when it is written
    });
    this.lookUps = acted.then(
      () => {},
      () => {},
    );
    return acted.then(({ promise }) => promise);
  }

  private isKnown(event: NewEvent): boolean {
    const type = event?.aggregateType;
    const id = event?.aggregateId;
    // What is no id is refused later, in words.
    if (typeof type !== 'string' || typeof id !== 'string' || this.actorTypes.has(type)) return true;
    return this.heads.isKnown(type, id);
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

  /**
   * Check everything, and give every event its version, before anything is written. `append` takes those versions in the
   * same turn, so that no other publishing comes in between.
   */
  private prepare(events: readonly NewEvent[], expectedVersion?: number): readonly Prepared[] {
    this.caller.admit();
    checkNewEvents(events);
    const versions = new Map<string, number>();
    const prepared = events.map((event): Prepared => {
      const { aggregateType, aggregateId, type } = event;
      if (this.transactions?.hasTaken(event)) {
        const reason =
          'saveWithTx has taken this event; it is published when its transaction commits (see publishAsync)';
        throw new TrunklineError('WrongDoor', { aggregateType, reason });
      }
      if (this.actorTypes.has(aggregateType)) {
        const reason = 'its events are raised by commands of its actors; entities must use another type';
        throw new TrunklineError('WrongDoor', { aggregateType, reason });
      }
      const key = `${aggregateType}\0${aggregateId}`;
      const before = versions.get(key);
      const actualVersion = before ?? this.heads.version(aggregateType, aggregateId);
      const expected = before ?? expectedVersion ?? actualVersion;
      const version = event.version ?? expected + 1;
      if (expected !== actualVersion || version !== actualVersion + 1) {
        const details = { aggregateType, aggregateId, actualVersion };
        const wanted = expected === actualVersion ? version - 1 : expected;
        throw new TrunklineError('ConcurrencyConflict', { ...details, expectedVersion: wanted });
      }
      versions.set(key, version);
      const metadataJson = event.metadata === undefined ? '' : metadataToJson(event.metadata);
      const { id, schemaVersion = 1 } = event;
      const occurredAt = event.occurredAt?.getTime();
      const dataJson = toJson(event.data, type);
      return { aggregateType, aggregateId, type, id, schemaVersion, occurredAt, version, metadataJson, dataJson };
    });
    this.checkSize(prepared);
    return prepared;
  }

  /** What the ring can never take is refused before it gets versions: those behind it would follow a gap. */
  private checkSize(events: readonly Prepared[]): void {
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
    if (this.slots.isFull) throw new TrunklineError('TooManyInFlight', { limit: this.slots.limit });
    const { promise, resolve, reject } = Promise.withResolvers<CommandReceipt>();
    const slot = this.slots.add({ events, resolve, reject });
    try {
      const hasRoom = this.hasRoom();
      if (this.waiting.length > 0 || !hasRoom || !this.tryWrite(slot, events)) {
        const { ringBytes } = this.options.flush;
        const { actorLimit: limit } = this.options;
        if (this.caller.options.whenFull === 'reject')
          throw hasRoom
            ? new TrunklineError('RingFull', { ringBytes })
            : new TrunklineError('TooManyUnstored', { limit });
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
    return promise;
  }

  /** False if there is no room; nothing is written then. */
  private tryWrite(slot: number, events: readonly Prepared[]): boolean {
    const { producer, levels } = this;
    // The log's last room is for what frees it.
    const mayWait = this.caller.options.whenFull === 'wait';
    if (mayWait && levels.flag(LevelWord.full) !== LogRoom.plenty) return false;
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
    this.logBell.ring();
    return true;
  }

  /** Whether the store is near enough: what it does not have yet, somebody here must know. */
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
    if (!publishing) return; // the runtime has failed, and they were told so
    const { events, resolve } = publishing;
    this.slots.remove(slot);
    for (const [i, { aggregateType, aggregateId, version }] of events.entries()) {
      this.heads.written(aggregateType, aggregateId, version, firstPosition + i);
    }
    resolve(new CommandReceipt(ring, firstPosition, this.caller.progress));
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

printAs(EventPublisher, () => 'EventPublisher');
