// The contract of the outbox: events that transactions of the user's own have committed, on their way into this log.
//
// Invariants: a row is claimed for one log, once, durably, before that log gets it; claims follow each other, and within
// one the rows follow their sequence: so an aggregate's events come in the order of its versions, and an event whose
// transaction had seen another's commit comes behind that one's.

/** How far rows have come into the log: every claimed row up to here is in it. Compared batch first. */
export interface Place {
  readonly batch: number;
  readonly sequence: number;
}

/** A committed event that is claimed for this log. */
export interface ClaimedEvent extends Place {
  readonly id: string;
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly version: number;
  readonly type: string;
  readonly schemaVersion: number;
  /** Milliseconds since 1970. */
  readonly occurredAt: number;
  readonly dataJson: string;
  /** '' where there is none. */
  readonly metadataJson: string;
}

/** A connection that is this database's one relay for as long as it lasts. Calls never overlap. Errors end it. */
export interface OutboxSession {
  /** What this log has claimed and not taken: behind `place`, in order. */
  claimed(place: Place): Promise<ClaimedEvent[]>;
  /** Claim what has been committed since, `limit` events at most. */
  claim(limit: number): Promise<ClaimedEvent[]>;
  close(): Promise<void>;
  /** Let go of the connection, whatever is under way on it. */
  abort(): void;
}

export interface Outbox {
  /**
   * Become the relay; undefined while another runtime is.
   * @throws WrongDoor if one of this runtime's actor types has events of entities
   */
  open(): Promise<OutboxSession | undefined>;
}

/** What the relay tells of itself. */
export interface RelayStatus {
  state: 'opening' | 'standby' | 'relaying' | 'retrying' | 'stopped';
  /** Events appended to the log since the start. */
  relayed: number;
  lastError: Error | undefined;
}

export const placeName = 'outbox';
export const nowhere: Place = { batch: 0, sequence: 0 };

export const isBehind = (row: Place, place: Place): boolean =>
  row.batch > place.batch || (row.batch === place.batch && row.sequence > place.sequence);
