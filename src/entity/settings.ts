// What entities in the host thread take of a runtime's options.
import type { Logger } from '../base/logger.ts';
import type { Level } from '../model/receipt.ts';

export interface EntitySettings {
  /** The level that `publish` waits for, unless it says otherwise. */
  readonly ack: Level;
  /** Bytes of the ring that entities write into. */
  readonly ringBytes: number;
  /** Most calls in flight, and in line for an entity's turn. */
  readonly maxInFlight: number;
  /** Most entities whose events the store does not have yet. */
  readonly actorLimit: number;
  readonly waitTimeoutMs: number;
  readonly logger: Logger;
}
