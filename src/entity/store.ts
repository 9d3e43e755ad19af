// `runtime.store`: the event store as users have it. Reads show everything that was written before they were called: they
// wait for the store to catch up (milliseconds). Saving goes through the log, like every event.

import { checkAggregate, checkId, checkInteger } from '../base/checks.ts';
import { TrunklineError } from '../base/errors.ts';
import { checkFields } from '../base/known-fields.ts';
import { printAs } from '../base/one-line.ts';
import { shown } from '../base/shown.ts';
import type { AggregateLike, AnyAggregate, EventNameOf, EventOf, EventsNamed, StateOf } from '../model/aggregate.ts';
import type { NewEvent, StoredEvent } from '../model/event.ts';
import {
  checkAggregateId,
  checkMoment,
  checkReducers,
  checkTypeQuery,
  checkVersionRange,
  type Definitions,
  takeQuery,
} from '../store/arguments.ts';
import type {
  AsOf,
  EventArchive,
  EventStore,
  Head,
  QuarantinedEvent,
  StateAt,
  StoreQuery,
  TransactionClient,
  TypeQuery,
} from '../store/store.ts';
import { checkNewEvents } from './new-event.ts';
import type { EventPublisher } from './publisher.ts';
import type { Transactions } from './transactions.ts';

/** The event store of a runtime. Reads show everything that was written before they were called. */
export class RuntimeStore implements EventStore {
  private readonly archive: EventArchive;
  private readonly publisher: EventPublisher;
  private readonly transactions: Transactions;
  private readonly caughtUp: () => Promise<void>;
  private readonly definitions: Definitions;

  /** @internal `caughtUp` resolves when everything written so far is stored. */
  constructor(
    reading: { readonly archive: EventArchive; caughtUp(): Promise<void> },
    publisher: EventPublisher,
    transactions: Transactions,
    definitions: Definitions,
  ) {
    this.archive = reading.archive;
    this.publisher = publisher;
    this.transactions = transactions;
    this.caughtUp = () => reading.caughtUp();
    this.definitions = definitions;
  }

  /**
   * Append events of entities as one group; resolves when they are `stored`.
   * @throws ConcurrencyConflict if the aggregate is not at `expectedVersion`; and as `publish` does. Then nothing is saved
   */
  async save(events: readonly NewEvent[], options: { expectedVersion?: number | undefined } = {}): Promise<void> {
    checkFields('save', options, ['expectedVersion']);
    this.publisher.admit();
    if (Array.isArray(events) && events.length === 0) return;
    const { expectedVersion } = options;
    if (expectedVersion !== undefined) {
      checkInteger('expectedVersion', expectedVersion, 0, Number.MAX_SAFE_INTEGER);
      checkNewEvents(events);
      const first = events[0]!;
      const { aggregateType, aggregateId } = first;
      if (events.some((event) => event.aggregateType !== aggregateType || event.aggregateId !== aggregateId)) {
        const reason = 'is for the events of one aggregate';
        throw new TrunklineError('InvalidOptions', {
          option: 'expectedVersion',
          value: shown(expectedVersion),
          reason,
        });
      }
    }
    await this.publisher.save(events, expectedVersion);
  }

  /**
   * Append events of entities within a transaction of your own, in one round trip: `client` is your `pg` client, with the
   * transaction open on it. If it commits, the events are stored, and a relay brings them into the log, once, and from
   * there to listeners and sinks; `publisher.publishAsync(...events)` afterwards makes it look at once. If it does not,
   * nothing has happened. Events that carry no `version` get the next, at a round trip each if there are several.
   * @throws ConcurrencyConflict if an aggregate is not at the version before an event's, AggregateTypeOwnedElsewhere for types of actors:
   * the transaction can only be rolled back then. UnserialisableValue, InvalidId, CommandTooLarge (an event of more than
   * 1 MiB), InvalidOptions (the store is in no database of yours): nothing has been sent. What your client throws, as it is.
   */
  async saveWithTx(client: TransactionClient, events: readonly NewEvent[]): Promise<void> {
    await this.transactions.append(client, events);
  }

  /** All events of an aggregate, in version order; none if it is unknown. */
  getByAggregate<A extends AnyAggregate>(aggregate: A, id: string): Promise<EventOf<A>[]>;
  getByAggregate(aggregate: string, id: string): Promise<StoredEvent[]>;
  async getByAggregate(aggregate: any, id: string): Promise<any> {
    checkAggregateId(aggregate, id);
    await this.caughtUp();
    return this.archive.getByAggregate(aggregate, id);
  }

  /** The same, from this version on, `limit` at most. */
  getFromVersion<A extends AnyAggregate>(
    aggregate: A,
    id: string,
    version: number,
    limit?: number,
  ): Promise<EventOf<A>[]>;
  getFromVersion(aggregate: string, id: string, version: number, limit?: number): Promise<StoredEvent[]>;
  async getFromVersion(aggregate: any, id: string, version: number, limit?: number): Promise<any> {
    checkAggregateId(aggregate, id);
    checkVersionRange(version, limit);
    await this.caughtUp();
    return this.archive.getFromVersion(aggregate, id, version, limit);
  }

  /** All events of one type, in log order; bounded by memory: for more, `runtime.events({ type })`. */
  getByType<const A extends AggregateLike = any, const T extends EventNameOf<A> = EventNameOf<A>>(
    type: T,
    query?: TypeQuery<A>,
  ): Promise<EventsNamed<A, T>[]>;
  async getByType(type: string, query: TypeQuery = {}): Promise<any> {
    const asGiven = checkTypeQuery(type, query, this.definitions);
    await this.caughtUp();
    return this.archive.getByType(type, asGiven);
  }

  /**
   * Events by aggregate, types, time or correlation, in the order in which they were stored, page by page. In a
   * store that several machines share also those that other logs have brought there.
   */
  query<const A extends AggregateLike = any, const T extends EventNameOf<A> = EventNameOf<A>>(
    query?: StoreQuery<A, T>,
  ): AsyncIterableIterator<EventsNamed<A, T>>;
  query(query: StoreQuery = {}): AsyncIterableIterator<any> {
    return this.queried(takeQuery(query, this.definitions));
  }

  private async *queried(query: StoreQuery): AsyncIterableIterator<any> {
    await this.caughtUp();
    yield* this.archive.query(query);
  }

  /** An aggregate's state as it was at a version or a time; undefined if it had none then. */
  async stateAt<A extends AnyAggregate>(
    aggregate: A,
    id: string,
    moment: AsOf,
  ): Promise<StateAt<StateOf<A>> | undefined> {
    checkReducers(aggregate);
    checkId('aggregate id', id);
    const asGiven = checkMoment(moment);
    await this.caughtUp();
    return this.archive.stateAt(aggregate, id, asGiven);
  }

  /** Version and position of an aggregate; undefined if it is unknown. */
  async head(aggregate: AnyAggregate | string, id: string): Promise<Head | undefined> {
    checkAggregateId(aggregate, id);
    await this.caughtUp();
    return this.archive.head(aggregate, id);
  }

  /** Events that the store has not taken, with the reason: another log had written the aggregate, or the server said no. */
  quarantined(): AsyncIterableIterator<QuarantinedEvent> {
    return this.archive.quarantined();
  }

  /** All aggregates of a type, ordered by id as bytes. */
  async *heads(aggregate: AnyAggregate | string): AsyncIterableIterator<Head & { readonly id: string }> {
    checkAggregate(aggregate);
    await this.caughtUp();
    yield* this.archive.heads(aggregate);
  }
}

printAs(RuntimeStore, () => 'RuntimeStore');
