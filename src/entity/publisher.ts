// Publishes events of entities from the caller's own thread, through a ring of its own (`publish-ring.ts`), into the log. One
// call is one group: all of its events enter the log together or not at all.

import { checkId, invalid } from '../base/checks.ts';
import { checkFields } from '../base/known-fields.ts';
import type { Logger } from '../base/logger.ts';
import { printAs } from '../base/one-line.ts';
import { RunningCode } from '../base/running.ts';
import { carriedOut } from '../base/wait.ts';
import type { CommandDispatcher } from '../dispatch/dispatcher.ts';
import type { OtherRing } from '../dispatch/in-flight.ts';
import type { CommandReceipt } from '../dispatch/receipt.ts';
import { eachFrame } from '../log/frames.ts';
import type { LogSource } from '../log/log.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import type { NewEvent } from '../model/event.ts';
import { checkLevel, type Level, type Receipt } from '../model/receipt.ts';
import { FrameFlag, FrameKind } from '../wire/frame.ts';
import type { Address } from '../wire/message.ts';
import { EntityTurns } from './entity-turns.ts';
import { Heads } from './heads.ts';
import { type Draft, draftEvents, type Prepared, prepareDrafts } from './prepared.ts';
import { PublishRing } from './publish-ring.ts';
import type { EntitySettings, PublisherParts } from './settings.ts';
import type { Transactions } from './transactions.ts';

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
  private readonly entities: ReadonlyMap<string, AnyAggregate>;
  private readonly options: EntitySettings;
  /** @internal Commits of units of work: what they have reserved is in flight until they end. */
  readonly commits: RunningCode = new RunningCode();
  private readonly publishRing: PublishRing;
  private readonly turns: EntityTurns;
  private readonly transactions: Transactions;

  /** @internal */
  constructor({
    dispatcher,
    control,
    storedHead,
    actorTypes,
    entities,
    options,
    transactions,
    lookUp,
  }: PublisherParts) {
    this.dispatcher = dispatcher;
    this.transactions = transactions;
    this.heads = new Heads(control, storedHead);
    this.actorTypes = actorTypes;
    this.entities = entities;
    this.options = options;
    const { maxInFlight: limit, waitTimeoutMs } = options;
    this.turns = new EntityTurns({ heads: this.heads, lookUp, limit, waitTimeoutMs });
    this.publishRing = new PublishRing({ dispatcher, control, heads: this.heads, options });
    this.ring = this.publishRing.memory;
    this.reading = this.publishRing.reading(this.turns);
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
      .take(drafts, () => this.publishRing.append(this.prepare(drafts)))
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
      const reserved = this.publishRing.reserve(prepared);
      return {
        publish: (level) => {
          reserved.write();
          release();
          return this.arrived(reserved.written, level);
        },
        giveUp: () => {
          reserved.giveUp();
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
    const appended = this.turns.take(drafts, () => this.publishRing.append(this.prepare(drafts, expectedVersion)));
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
    const { actorTypes, entities, transactions } = this;
    const drafts = draftEvents(events, { actorTypes, entities, transactions });
    this.publishRing.checkSize(drafts);
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
}

printAs(EventPublisher, () => 'EventPublisher');
