// The contract of the store: what a shard needs to bring an aggregate back, and what a user may ask.
import type { AggregateLike, AnyAggregate, EventNameOf, EventOf, EventsNamed, StateOf } from '../model/aggregate.ts';
import { storedTypeOf } from '../model/aggregate-names.ts';
import type { NewEvent, StoredEvent } from '../model/event.ts';
import type { Outcome } from '../model/receipt.ts';
import type { ReadState } from '../wire/carried.ts';
import type { FrameReader } from '../wire/frame.ts';
import type { EventFilter } from './filter.ts';

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
  /** The version before the first event: the snapshot's or 0; more where a local cache does not reach back so far. */
  readonly base: number;
  /** Another log has written it since: a local cache's state is not its state. */
  readonly isOwnershipLost: boolean;
  /** How many events follow the base. */
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
  /** The keys of an aggregate's outcomes from version `from` on, below `below`. */
  receiptKeys(type: string, id: string, from: number, below: number): string[];
  head(type: string, id: string): Head | undefined;
  /** The last log position that the store holds. */
  checkpoint(): number;
  close(): Promise<void>;
}

/** An aggregate as a store elsewhere has it. */
export interface RemoteAggregate {
  readonly version: number;
  /** Newer than what was asked for, and of the same reducer; else undefined. */
  readonly snapshot: LoadedAggregate['snapshot'];
  /**
   * The events after the snapshot, or after the version that was asked for, in version order: as many as a page holds. Those up
   * to `version` that it leaves out are asked for behind them.
   */
  readonly frames: Buffer;
  readonly eventCount: number;
}

/** A store elsewhere, as a shard loads from it. Errors: `StoreUnavailable` and those of the schema. */
export interface RemoteReader {
  owner(type: string, id: string): Promise<'nobody' | 'this log' | 'another'>;
  /** As `load`, but it stays the log's that has it. `isOwn`: this one. */
  look(
    type: string,
    id: string,
    fingerprint: string,
    after: number,
  ): Promise<(RemoteAggregate & { readonly isOwn: boolean }) | undefined>;
  /**
   * What it has after version `after`; undefined: no such aggregate. From now on the aggregate is this log's: what another
   * log has not stored yet is quarantined. `at`: this log's position now.
   */
  load(type: string, id: string, fingerprint: string, after: number, at: number): Promise<RemoteAggregate | undefined>;
  close(): Promise<void>;
}

export interface StoredReceipt {
  readonly version: number;
  readonly outcome: Outcome;
  readonly position: number;
}

/** A store as the history reads it: in log order, page by page. */
export interface PagedStore {
  scan(filter: EventFilter, signal?: AbortSignal): StorePages;
}

/** One reading of a store. */
export interface StorePages {
  /** Asking it costs a network's round trip: what is in the log is taken from there. */
  readonly isRemote: boolean;
  /** Up to `limit` events from position `from` to `to`; undefined if the store has not come to `from` yet. */
  page(from: number, to: number, limit: number): ScanPage | undefined | Promise<ScanPage | undefined>;
}

export interface ScanPage {
  readonly events: StoredEvent[];
  /** Where the next page begins. */
  readonly next: number;
}

/** Which events of a type: since when, until when, how many. */
export interface TypeQuery<A extends AggregateLike = any> {
  /** Events that occurred at this time or later. */
  since?: Date | undefined;
  /** Events that occurred before this time. */
  until?: Date | undefined;
  /** At most so many, the earliest in the log first. */
  limit?: number | undefined;
  /** Only of this aggregate type. */
  aggregate?: A | undefined;
}

/** Which events of the store; all conditions must hold. */
export interface StoreQuery<A extends AggregateLike = any, T extends EventNameOf<A> = EventNameOf<A>> {
  aggregate?: A | undefined;
  /** With `aggregate`, its events are found directly; alone, every event is looked at. */
  aggregateId?: string | undefined;
  type?: T | undefined;
  types?: readonly T[] | undefined;
  /** Events that occurred at `since` or later, and before `until`. */
  since?: Date | undefined;
  until?: Date | undefined;
  /** As in the events' metadata. */
  correlationId?: string | undefined;
  /** Ends the iteration with its reason. */
  signal?: AbortSignal | undefined;
  /** Events read at once, 1 to 100,000; a store on a server may read fewer; default 1,000. Others get their turn between pages. */
  pageSize?: number | undefined;
}

/** Which events of the log and the store behind it, and how. All conditions must hold. */
export interface EventQuery<A extends AggregateLike = any, T extends EventNameOf<A> = EventNameOf<A>>
  extends StoreQuery<A, T> {
  /** First and last log position, inclusive. */
  from?: number | undefined;
  to?: number | undefined;
  /** Go on without end, with events as they are written; ends when the runtime closes. Default false. */
  follow?: boolean | undefined;
}

/** A moment in an aggregate's life: after that version, or after its last event that had occurred by that time. */
export type AsOf = { version: number } | { time: Date };

/** An aggregate as it was. */
export interface StateAt<State> {
  /** Frozen; a property whose value is `undefined` is left out, whether it comes from a live actor, a snapshot or the store. */
  readonly state: ReadState<State>;
  readonly version: number;
  readonly position: number;
}

/** The reading half of {@link EventStore}. It answers from what is `stored`; for the newest too, see `runtime.events`. */
export interface EventArchive {
  /** All events of an aggregate, in version order; empty if the store has none. */
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
  /**
   * Events by aggregate, types, time or correlation, in the order in which they were stored, page by page. In a
   * store that several machines share also those that other logs have brought there.
   */
  query(query?: StoreQuery): AsyncIterableIterator<StoredEvent>;
  /** An aggregate's state as it was, by folding its events; undefined if it had none then. */
  stateAt<A extends AnyAggregate>(aggregate: A, id: string, moment: AsOf): Promise<StateAt<StateOf<A>> | undefined>;
  /** Version and position of an aggregate; undefined if it is unknown. */
  head(aggregate: AnyAggregate | string, id: string): Promise<Head | undefined>;
  /** Events that the store has not taken, with the reason: another log had written the aggregate, or the server said no. */
  quarantined(): AsyncIterableIterator<QuarantinedEvent>;
  /** All aggregates of a type, ordered by id as bytes. */
  heads(aggregate: AnyAggregate | string): AsyncIterableIterator<Head & { readonly id: string }>;
}

/** A stretch of one aggregate's events as they are stored, in version order: what a shard would fold. */
export interface FramePage {
  /** Valid until the next page is asked for. */
  readonly frames: Buffer;
  readonly count: number;
  /** Of each event its log position; 0: it has come by no log. */
  readonly positions: readonly number[];
  /** Nothing follows. */
  readonly isLast: boolean;
}

/** A store whose aggregates can be folded one by one, whatever definitions say. */
export interface FrameArchive extends Pick<EventArchive, 'head' | 'heads'> {
  /** An aggregate's events from this version on; none: it has no more. @throws EventUnreadable */
  framesFrom(type: string, id: string, version: number): FramePage | Promise<FramePage>;
}

/** A connection of the user's own, with a transaction of the user's own open on it: a client of `pg`, or one like it. */
export interface TransactionClient {
  /** As the `pg` client's own. */
  query(query: { name?: string; text: string; values: unknown[] }): Promise<{ rows: any[] }>;
}

/** An event for a user's transaction: checked and serialised. */
export interface AppendedEvent {
  readonly id: string;
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly type: string;
  readonly schemaVersion: number;
  readonly occurredAt: Date;
  readonly dataJson: string;
  /** '' where there is none. */
  readonly metadataJson: string;
  /** The version before it; undefined: whichever it is. */
  readonly expectedVersion: number | undefined;
}

/** A store that takes events within a transaction of the user's own. */
export interface TransactionAppend {
  /** All of them or none; their versions. Throws `ConcurrencyConflict`, `AggregateTypeOwnedElsewhere`, or the client's own error. */
  append(client: TransactionClient, events: readonly AppendedEvent[]): Promise<number[]>;
}

/** An event, or an answer without events, that the store has not taken. */
export interface RefusedEvent {
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly version: number;
  readonly position: number;
  /** Why: an event lies in quarantine with this code; {@link staleCode}: an answer, which lies nowhere. */
  readonly code: string;
  readonly reason: string;
}

/** Code of an answer that was decided on another version than the store has. */
export const staleCode = 'Stale';

/** An event in quarantine, and why. */
export interface QuarantinedEvent {
  readonly event: StoredEvent;
  /** The log that it came through. */
  readonly logId: string;
  readonly code: 'Fenced' | 'VersionGap' | 'RefusedByServer' | 'LostByStore';
  readonly reason: string;
  readonly quarantinedAt: Date;
}

/** What an {@link EventArchive} gives, typed by the definitions and names that a user asks with. */
export interface TypedEventArchive extends Omit<EventArchive, 'getByType' | 'query'> {
  /** As in {@link EventArchive}; with `aggregate` by definition the events are narrowed. */
  getByType<const A extends AggregateLike = any, const T extends EventNameOf<A> = EventNameOf<A>>(
    type: T,
    query?: TypeQuery<A>,
  ): Promise<EventsNamed<A, T>[]>;
  /** As in {@link EventArchive}; with `aggregate` by definition the events are narrowed. */
  query<const A extends AggregateLike = any, const T extends EventNameOf<A> = EventNameOf<A>>(
    query?: StoreQuery<A, T>,
  ): AsyncIterableIterator<EventsNamed<A, T>>;
}

/** The event store: what a user may ask of it, and save through it. */
export interface EventStore extends TypedEventArchive {
  /**
   * Append events of entities. Resolves when they are `stored`.
   * @throws ConcurrencyConflict if the aggregate is not at `expectedVersion`
   */
  save(events: readonly NewEvent[], options?: { expectedVersion?: number | undefined }): Promise<void>;
  /**
   * Append events of entities within a transaction of the user's own: they are stored if it commits.
   * @throws ConcurrencyConflict if an aggregate is not at the version before an event's
   */
  saveWithTx(client: TransactionClient, events: readonly NewEvent[]): Promise<void>;
}

/** As it is stored. */
export const nameOf = (aggregate: AnyAggregate | string): string =>
  typeof aggregate === 'string' ? aggregate : storedTypeOf(aggregate);
