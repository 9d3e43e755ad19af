// The second door: entities in the caller's own thread, for whoever keeps state in tables of his own.
import type { Metadata } from '../event.ts';

/** An event that is not in the log yet, as an entity raised it or as a caller writes it down. */
export interface NewEvent {
  aggregateType: string;
  aggregateId: string;
  type: string;
  data: unknown;
  metadata?: Metadata;
  /** UUID; default: a new UUIDv7. */
  id?: string;
  /** Default: now. */
  occurredAt?: Date;
  /** Version of the payload's shape; default 1. */
  schemaVersion?: number;
  /** The aggregate's version with this event; default: one more than the last. Another one: `ConcurrencyConflict`. */
  version?: number;
}
