// The store alone: no log, no threads, no data directory. For programs that only read: reports, audits, a rollback that keeps the
// store and writes nothing more.

import { isMadeBy } from '../base/checks.ts';
import { TrunklineError } from '../base/errors.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import { printAs } from '../base/one-line.ts';
import { shown } from '../base/shown.ts';
import type { AggregateLike, AnyAggregate, EventNameOf, EventOf, EventsNamed, StateOf } from '../model/aggregate.ts';
import { checkAggregates } from '../model/aggregates-option.ts';
import type { StoredEvent } from '../model/event.ts';
import { Evolution } from '../model/evolution.ts';
import { loadAdapter, type StoreArchive, StoreOptions, storeRule } from './adapter.ts';
import {
  checkAggregateId,
  checkMoment,
  checkReducers,
  checkTypeQuery,
  checkVersionRange,
  takeQuery,
} from './arguments.ts';
import { EvolvedArchive } from './evolved-archive.ts';
import type {
  AsOf,
  EventArchive,
  EventStore,
  Head,
  QuarantinedEvent,
  StateAt,
  StoreQuery,
  TypeQuery,
} from './store.ts';

/** How the events of a store are read without a runtime. */
export interface ReadingOptions {
  /** Definitions: their events are read by their names of today, of their newest version; those of other types as they are stored. */
  aggregates?: readonly AnyAggregate[] | undefined;
}

const readingFields = fieldsOf<ReadingOptions>({ aggregates: 'list' });

/** See `openEventStore` (open.ts). */
export async function openReadOnly(options: StoreOptions, reading: ReadingOptions): Promise<ReadOnlyEventStore> {
  if (!isMadeBy(StoreOptions, options)) {
    throw new TrunklineError('InvalidOptions', {
      option: 'store',
      value: shown(options),
      reason: storeRule,
    });
  }
  checkFields('openEventStore', reading, readingFields);
  const { aggregates } = reading;
  if (aggregates !== undefined) checkAggregates(aggregates, undefined);
  const adapter = await loadAdapter(options.describe());
  const archive = await adapter.openArchive(options);
  try {
    await archive.check();
  } catch (error) {
    await archive.close();
    throw error;
  }
  return new ReadOnlyEventStore(archive, options.name, new Evolution(aggregates ?? []));
}

/** An event store that takes nothing; made by `openEventStore`. */
export class ReadOnlyEventStore implements EventStore, AsyncDisposable {
  private readonly stored: StoreArchive;
  private readonly archive: EventArchive;
  private readonly name: string;

  /** @internal */
  constructor(archive: StoreArchive, name: string, evolution: Evolution) {
    this.stored = archive;
    this.archive = new EvolvedArchive(archive, evolution);
    this.name = name;
  }

  /** @throws StoreReadOnly, always */
  async save(): Promise<never> {
    throw new TrunklineError('StoreReadOnly', { store: this.name });
  }

  /** @throws StoreReadOnly, always */
  async saveWithTx(): Promise<never> {
    throw new TrunklineError('StoreReadOnly', { store: this.name });
  }

  /** All events of an aggregate, in version order; none if it is unknown. */
  getByAggregate<A extends AnyAggregate>(aggregate: A, id: string): Promise<EventOf<A>[]>;
  getByAggregate(aggregate: string, id: string): Promise<StoredEvent[]>;
  async getByAggregate(aggregate: any, id: string): Promise<any> {
    checkAggregateId(aggregate, id);
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
    return this.archive.getFromVersion(aggregate, id, version, limit);
  }

  /** All events of one type, in the order in which they were stored; bounded by memory: for more, `query`. */
  getByType<const A extends AggregateLike = any, const T extends EventNameOf<A> = EventNameOf<A>>(
    type: T,
    query?: TypeQuery<A>,
  ): Promise<EventsNamed<A, T>[]>;
  async getByType(type: string, query: TypeQuery = {}): Promise<any> {
    return this.archive.getByType(type, checkTypeQuery(type, query));
  }

  /** Events by aggregate, types, time or correlation, page by page. */
  query<const A extends AggregateLike = any, const T extends EventNameOf<A> = EventNameOf<A>>(
    query?: StoreQuery<A, T>,
  ): AsyncIterableIterator<EventsNamed<A, T>>;
  query(query: StoreQuery = {}): AsyncIterableIterator<any> {
    return this.archive.query(takeQuery(query));
  }

  /** An aggregate's state as it was at a version or a time; undefined if it had none then. */
  async stateAt<A extends AnyAggregate>(
    aggregate: A,
    id: string,
    moment: AsOf,
  ): Promise<StateAt<StateOf<A>> | undefined> {
    checkReducers(aggregate);
    checkAggregateId(aggregate, id);
    return this.archive.stateAt(aggregate, id, checkMoment(moment));
  }

  /** Version and position of an aggregate; undefined if it is unknown. */
  async head(aggregate: AnyAggregate | string, id: string): Promise<Head | undefined> {
    checkAggregateId(aggregate, id);
    return this.archive.head(aggregate, id);
  }

  /** All aggregates of a type, ordered by id as bytes. */
  heads(aggregate: AnyAggregate | string): AsyncIterableIterator<Head & { readonly id: string }> {
    return this.archive.heads(aggregate);
  }

  /** Events that the store has not taken, with the reason. */
  quarantined(): AsyncIterableIterator<QuarantinedEvent> {
    return this.archive.quarantined();
  }

  /** Give the connections back. */
  close(): Promise<void> {
    return this.stored.close();
  }

  /** `close()`, at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

printAs(ReadOnlyEventStore, () => 'ReadOnlyEventStore');
