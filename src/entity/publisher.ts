// Publishes events of entities from the caller's own thread, through a ring of its own, into the log. One call is one
// group: all of its events enter the log together or not at all.
import type { AnyAggregate } from '../aggregate.ts';
import type { Caller } from '../caller/caller.ts';
import { CommandReceipt } from '../caller/receipt.ts';
import { Slots } from '../caller/slots.ts';
import { checkLevel, invalid } from '../checks.ts';
import { isError, TrunklineError } from '../errors.ts';
import type { NewEvent } from '../event.ts';
import { FrameFlag, FrameKind, FrameReader } from '../frame.ts';
import { writeIdText, writeNewId } from '../ids.ts';
import { checkFields } from '../known-fields.ts';
import { eachFrame } from '../log/frames.ts';
import { type Levels, LevelWord } from '../log/levels.ts';
import type { LogSource } from '../log/log.ts';
import type { ResolvedOptions } from '../options.ts';
import { toJson } from '../payload.ts';
import type { Level, Receipt } from '../receipt.ts';
import { Bell } from '../ring/bell.ts';
import { RingConsumer } from '../ring/consumer.ts';
import { RingProducer } from '../ring/producer.ts';
import { createRing, GroupKind, Word } from '../ring/ring.ts';
import { Heads } from './heads.ts';
import { checkNewEvents } from './new-event.ts';
import type { Transactions } from './transactions.ts';

interface Publishing {
  events: readonly Prepared[];
  resolve: (receipt: CommandReceipt) => void;
  reject: (error: unknown) => void;
}

interface Prepared {
  event: NewEvent;
  version: number;
  metadataJson: string;
  dataJson: string;
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
  async publishBatch(events: readonly NewEvent[], options: { ack?: Level } = {}): Promise<Receipt<undefined>> {
    checkFields('publishBatch', options, ['ack']);
    if (options.ack !== undefined) checkLevel('ack', options.ack);
    if (options.ack === 'published' && !this.hasStream)
      invalid('ack', options.ack, 'needs a stream, and none is configured');
    await this.known(events);
    const receipt = await this.append(this.prepare(events));
    await receipt.reached(options.ack ?? this.options.ack);
    return receipt as Receipt<undefined>;
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
    const appended = this.areKnown(events) ? this.append(this.prepare(events)) : this.publishBatch(events);
    (appended as Promise<unknown>).catch((error: unknown) => {
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

  /** @internal Ask the store, where that is elsewhere, for the versions of entities that nobody here knows. */
  known(events: readonly NewEvent[]): Promise<void> {
    if (this.areKnown(events)) return Promise.resolve();
    const asked = this.lookUps.then(async () => {
      for (const { aggregateType: type, aggregateId: id } of events) {
        if (!this.isKnown(type, id)) this.heads.learn(type, id, await this.lookUp!(type, id));
      }
    });
    this.lookUps = asked.catch(() => {});
    return asked;
  }

  /** @internal Another log has written these. */
  fenced(aggregates: readonly { type: string; id: string }[]): void {
    for (const { type, id } of aggregates) this.heads.forgetOne(type, id);
  }

  private areKnown(events: readonly NewEvent[]): boolean {
    if (this.lookUp === undefined || !Array.isArray(events)) return true;
    return events.every((event) => this.isKnown(event?.aggregateType, event?.aggregateId));
  }

  private isKnown(type: string, id: string): boolean {
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

  /** Check everything, and give every event its version, before anything is written. */
  private prepare(events: readonly NewEvent[]): readonly Prepared[] {
    this.caller.admit();
    checkNewEvents(events);
    const versions = new Map<string, number>();
    const prepared = events.map((event) => {
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
      const actualVersion = versions.get(key) ?? this.heads.version(aggregateType, aggregateId);
      const version = event.version ?? actualVersion + 1;
      if (version !== actualVersion + 1) {
        const expectedVersion = version - 1;
        throw new TrunklineError('ConcurrencyConflict', { aggregateType, aggregateId, expectedVersion, actualVersion });
      }
      versions.set(key, version);
      const metadata = event.metadata ?? {};
      const metadataJson = Object.keys(metadata).length === 0 ? '' : toJson(metadata, 'metadata');
      return { event, version, metadataJson, dataJson: toJson(event.data, type) };
    });
    return prepared;
  }

  /** Into the ring now, or, if it is full, as soon as there is room. Throws what refuses it. */
  private append(events: readonly Prepared[]): Promise<CommandReceipt> {
    if (this.slots.isFull) throw new TrunklineError('TooManyInFlight', { limit: this.slots.limit });
    const { promise, resolve, reject } = Promise.withResolvers<CommandReceipt>();
    const slot = this.slots.add({ events, resolve, reject });
    try {
      if (this.waiting.length > 0 || !this.tryWrite(slot, events)) {
        const { ringBytes } = this.options.flush;
        if (this.caller.options.whenFull === 'reject') throw new TrunklineError('RingFull', { ringBytes });
        this.waiting.push(slot);
      }
    } catch (error) {
      this.slots.remove(slot);
      throw error;
    }
    for (const { event, version } of events) this.heads.publishing(event.aggregateType, event.aggregateId, version);
    return promise;
  }

  /** False if there is no room; nothing is written then. */
  private tryWrite(slot: number, events: readonly Prepared[]): boolean {
    const { producer } = this;
    try {
      for (const { event, version, metadataJson, dataJson } of events) {
        const { aggregateType, aggregateId, type, schemaVersion = 1 } = event;
        const now = Date.now();
        const offset = producer.frame(
          FrameKind.event,
          schemaVersion,
          event.occurredAt?.getTime() ?? now,
          version,
          aggregateType,
          aggregateId,
          type,
          metadataJson,
          dataJson,
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

  private flushWaiting(): void {
    let count = 0;
    for (const slot of this.waiting) {
      if (!this.tryWrite(slot, this.slots.get(slot)!.events)) break;
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
    for (const [i, { event, version }] of events.entries()) {
      this.heads.written(event.aggregateType, event.aggregateId, version, firstPosition + i);
    }
    resolve(new CommandReceipt(ring, firstPosition, this.caller.progress));
  }

  private fail(error: TrunklineError): void {
    this.waiting = [];
    for (const [slot, { reject }] of this.slots.entries()) {
      this.slots.remove(slot);
      reject(error);
    }
  }
}
