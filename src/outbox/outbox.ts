// The contract of the outbox: events that transactions of the user's own have committed, and that this log has yet to take.
//
// Invariants: a row is claimed for one log, once, durably, before that log gets it; a row alone proves nothing: an event
// that the store has a position for, or that this log has and the store has yet to note, is not taken again. Claims follow each other,
// and within one the rows follow their sequence: so an aggregate's events come in the order of its versions, and an event whose
// transaction had seen another's commit comes behind that one's. An aggregate's later events are not claimed for one log
// while another log still has earlier ones that its sinks have not passed.
import { checkedJson, number, object } from '../base/json.ts';

/** Bytes of the relay's ring at least: a single event that came by the outbox must fit into half of it. */
export const relayRingBytesLeast: number = 4 << 20;

/** How far rows have come into the log: every claimed row up to here is in it. Compared batch first. */
export interface Place {
  readonly batch: number;
  readonly sequence: number;
}

/**
 * What tells an event of the outbox from others, as far as the log carries it. An id alone names none: who saves an event chooses its
 * id and its time, and the server keeps apart two with one id and times of one millisecond, which the log does not.
 */
export interface Identified {
  readonly id: string;
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly version: number;
  /** Milliseconds since 1970. */
  readonly occurredAt: number;
}

/** A committed event that is claimed for this log. */
export interface ClaimedEvent extends Place, Identified {
  readonly type: string;
  readonly schemaVersion: number;
  /** As the server prints it. */
  readonly data: string;
  /** As the server prints it; null where there is none. */
  readonly metadata: string | null;
}

/** A claimed row without an event to be relayed. */
export interface ClaimedRow extends Place {
  readonly id: string;
}

/** What is claimed for this log, and not taken. */
export interface Claimed {
  readonly events: readonly ClaimedEvent[];
  /** The event is not in `domain_events` any more: its month was dropped, or it was deleted. */
  readonly orphans: readonly ClaimedRow[];
  /** The event has a position there: it has passed a log. The row was written again, by a hand or a restore of the table. */
  readonly known: readonly ClaimedRow[];
}

/** What one claim has found. */
export interface Claim {
  /** How far the store has this log's events, where a batch was drawn; 0 elsewhere. */
  readonly stored: number;
  /** Whether this session is the relay; otherwise it has claimed nothing. */
  readonly isRelay: boolean;
  /** Events claimed now. */
  readonly events: number;
  /** The number that was drawn for them; 0: nothing waits. */
  readonly batch: number;
  /** Events that wait until other logs have passed on earlier ones of their aggregates. */
  readonly held: number;
  /** Those logs. */
  readonly heldBy: readonly string[];
}

/** A row of the outbox whose event this log may have already: the database has come back from an earlier state. */
export interface DoubtfulRow extends Identified {
  readonly sequence: number;
}

/** One connection to the outbox, which may be shared by the statement. Calls never overlap. Errors end it. */
export interface OutboxSession {
  /**
   * Claim what has been committed since, `limit` events at most, if this session is the relay or can become it. `last`: the last
   * batch that this log has, or has seen. A number that is not behind it, as from a database that has come back from an earlier state, claims
   * nothing: the store, which is refilled meanwhile, would take its rows for some that the log has.
   */
  claim(limit: number, last: number): Promise<Claim>;
  /**
   * What this log has claimed and not taken: the first rows behind `place`, one at least, then up to `bytes` of events. Only
   * where there are no rows of any kind is there nothing more.
   */
  claimed(place: Place, bytes: number): Promise<Claimed>;
  /** A log has the events of these rows: they go. */
  remove(rows: readonly Place[]): Promise<void>;
  /** No log can take this event: its row stays, and is not claimed again. */
  setAside(place: Place, reason: string): Promise<void>;
  /** Types of which database roles may raise events within transactions of their own. */
  raisedTypes(): Promise<ReadonlySet<string>>;
  /** Events that were set aside so far, by any relay. */
  countSetAside(): Promise<number>;
  /** Every reader of this log has passed the positions below `floor`: their rows go. */
  settle(floor: number): Promise<void>;
  /** The number of the last batch, by any claimer. */
  lastBatch(): Promise<number>;
  /** Rows that wait, or that this log has claimed and not stored, behind `sequence`; but for those without an event. */
  doubtful(sequence: number, limit: number): Promise<DoubtfulRow[]>;
  /** These rows are in the log: done. Everything else that this log has claimed and not stored waits again. */
  resolve(done: readonly { readonly sequence: number; readonly position: number }[]): Promise<void>;
  /** Batches count on behind this one; what this log has claimed and not stored waits again. */
  restartBehind(batch: number): Promise<void>;
  /** Another runtime need not wait until this one's time is over. */
  resign(): Promise<void>;
  close(): Promise<void>;
  /** Let go of the connection, whatever runs on it. */
  abort(): void;
}

export interface Outbox {
  /** Types of which database roles may raise events, as the last attempt to open has found them. */
  readonly raisedTypes: ReadonlySet<string>;
  /** `signal` ends the session. @throws AggregateTypeOwnedElsewhere if one of this runtime's actor types has events of entities */
  open(signal?: AbortSignal): Promise<OutboxSession>;
}

/** What an adapter of a store gives, whose users save events within transactions of their own. Host thread. */
export interface OutboxAdapter {
  openOutbox(settings: unknown, parts: OutboxParts): Promise<{ outbox: Outbox; upkeep: Upkeep }>;
}

interface OutboxParts {
  readonly logId: string;
  /** Types whose events this runtime's actors raise. */
  readonly actorTypes: readonly string[];
  /** What goes wrong in the upkeep; it is tried again. */
  onError(error: Error): void;
}

/** What the upkeep of the store's tables has found. */
export interface UpkeepStatus {
  /** Of this month and the next ones those without a partition, like `2026-12`: their events go into the default partition. */
  readonly missingMonths: readonly string[];
  /** Months whose events lie in the default partition, and could not be moved. */
  readonly monthsInDefault: readonly string[];
  /**
   * Events in the default partition of months that get no partition: more than 240 months back, or more than 24 ahead. Counted up to
   * 10,000.
   */
  readonly beyondRange: number;
  /** Partitions that others have attached with ranges of their own, at most 100 names: they are left as they are. */
  readonly ownRanges: readonly string[];
  /** What stood in the way at the last look; it is tried again. */
  readonly lastError: Error | undefined;
}

/** Maintains the store's tables while a runtime runs. */
export interface Upkeep {
  readonly status: UpkeepStatus;
  start(): void;
  /** Lets go of what it is doing. */
  stop(): Promise<void>;
}

/** What the relay tells of itself. */
export interface RelayStatus {
  state: 'opening' | 'standby' | 'relaying' | 'retrying' | 'stopped';
  /** Events appended to the log since the start. */
  relayed: number;
  /** Events in the outbox that no log can take; they are not relayed. */
  setAside: number;
  /** Events that wait until other logs have passed on earlier ones of their aggregates. */
  held: number;
  lastError: Error | undefined;
}

/**
 * The place that a frame of the log holds. Numbers that are not exact, from a row that a role wrote itself (migration 10 refuses
 * those), count as the last exact one: the server takes no larger ones.
 */
export function placeIn(json: string): Place {
  const { batch, sequence } = checkedJson(
    json,
    object<Place>({ batch: number, sequence: number }),
    'the place in the outbox',
  );
  return { batch: exact(batch), sequence: exact(sequence) };
}

const exact = (number: number): number => Math.min(number, Number.MAX_SAFE_INTEGER);

/** Texts of the server have no NUL. */
export const eventKey = ({ id, aggregateType, aggregateId, version, occurredAt }: Identified): string =>
  `${id}\0${occurredAt}\0${version}\0${aggregateType}\0${aggregateId}`;

export const placeName = 'outbox';
export const nowhere: Place = { batch: 0, sequence: 0 };

export const isBehind = (row: Place, place: Place): boolean =>
  row.batch > place.batch || (row.batch === place.batch && row.sequence > place.sequence);
