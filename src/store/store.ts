// The contract of the store: what a shard needs to bring an aggregate back, and what a user may ask.
import type { AnyAggregate, EventOf, StateOf } from '../aggregate.ts';
import type { NewEvent, StoredEvent } from '../event.ts';
import type { FrameReader } from '../frame.ts';
import type { Outcome } from '../receipt.ts';

/** Where an aggregate stands in the store. */
export interface Head {
  readonly version: number;
  /** Log position of its last event. */
  readonly position: number;
}

/** What makes an aggregate's state: a snapshot, if there is one that fits, and the events after it. */
export interface LoadedAggregate {
  readonly version: number;
  readonly lastPosition: number;
  readonly snapshot: { readonly version: number; readonly fingerprint: string; readonly stateJson: string } | undefined;
  /** How many events follow the snapshot. */
  readonly eventCount: number;
  /** The events, in version order: one reader, moved along. Valid until the next load from the same reader. */
  readonly frames: Iterable<FrameReader>;
}

/** The store as a shard reads it: synchronously. Not shared between threads. Every call sees the newest commit. */
export interface StoreReader {
  /** undefined: no such aggregate. A snapshot with another fingerprint is left aside. */
  load(type: string, id: string, fingerprint: string): LoadedAggregate | undefined;
  /** The outcome of an earlier command with this idempotency key; undefined if there is none, or it has expired. */
  receipt(type: string, id: string, key: string): StoredReceipt | undefined;
  head(type: string, id: string): Head | undefined;
  /** The last log position that the store holds. */
  checkpoint(): number;
  close(): Promise<void>;
}

export interface StoredReceipt {
  readonly version: number;
  readonly outcome: Outcome;
  readonly position: number;
}

/** Which events of a type: since when, until when, how many. */
export interface TypeQuery {
  /** Events that occurred at this time or later. */
  since?: Date;
  /** Events that occurred before this time. */
  until?: Date;
  /** At most so many, the earliest in the log first. */
  limit?: number;
  /** Only of this aggregate type. */
  aggregate?: AnyAggregate | string;
}

/** Which events, and how. All conditions must hold. */
export interface EventQuery {
  /** First and last log position, inclusive. */
  from?: number;
  to?: number;
  aggregate?: AnyAggregate | string;
  /** With `aggregate`, its events are found directly; alone, every event is looked at. */
  aggregateId?: string;
  type?: string;
  types?: readonly string[];
  /** Events that occurred at `since` or later, and before `until`. */
  since?: Date;
  until?: Date;
  /** Ends the iteration with its reason. */
  signal?: AbortSignal;
  /** Events read at once, 1 to 100,000; default 1,000. Others get their turn between pages. */
  pageSize?: number;
  /** Go on without end, with events as they are written; ends when the runtime closes. Default false. */
  follow?: boolean;
}

/** A moment in an aggregate's life: after that version, or after its last event that had occurred by that time. */
export type Moment = { version: number } | { time: Date };

/** An aggregate as it was. */
export interface StateThen<State> {
  readonly state: State;
  readonly version: number;
  readonly position: number;
}

/** The reading half of {@link EventStore}. It answers from what is `stored`; for the newest too, see `runtime.events`. */
export interface EventArchive {
  /** All events of an aggregate, in version order; none if nobody knows it. */
  getByAggregate<A extends AnyAggregate>(aggregate: A, id: string): Promise<EventOf<A>[]>;
  getByAggregate(aggregate: string, id: string): Promise<StoredEvent[]>;
  /** The same, from this version on, `limit` at most. */
  getFromVersion<A extends AnyAggregate>(
    aggregate: A,
    id: string,
    version: number,
    limit?: number,
  ): Promise<EventOf<A>[]>;
  getFromVersion(aggregate: string, id: string, version: number, limit?: number): Promise<StoredEvent[]>;
  /** All events of one type, in log order; bounded by memory: for more, `runtime.events({ type })`. */
  getByType(type: string, query?: TypeQuery): Promise<StoredEvent[]>;
  /** An aggregate's state as it was, by folding its events; undefined if it had none then. */
  stateAt<A extends AnyAggregate>(aggregate: A, id: string, moment: Moment): Promise<StateThen<StateOf<A>> | undefined>;
  head(aggregate: AnyAggregate | string, id: string): Promise<Head | undefined>;
  /** All aggregates of a type, ordered by id as bytes. */
  heads(aggregate: AnyAggregate | string): AsyncIterableIterator<Head & { readonly id: string }>;
}

/** The event store: what a user may ask of it, and save through it. */
export interface EventStore extends EventArchive {
  /**
   * Append events of entities. Resolves when they are `stored`.
   * @throws ConcurrencyConflict if the aggregate is not at `expectedVersion`
   */
  save(events: readonly NewEvent[], options?: { expectedVersion?: number }): Promise<void>;
}

export const nameOf = (aggregate: AnyAggregate | string): string =>
  typeof aggregate === 'string' ? aggregate : aggregate.name;
