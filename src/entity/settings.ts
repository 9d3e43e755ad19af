// What entities in the host thread take of a runtime: of its options, and of its parts.
import type { Logger } from '../base/logger.ts';
import type { CommandDispatcher } from '../dispatch/dispatcher.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import type { Level } from '../model/receipt.ts';
import type { ControlBlock } from '../shared/control-block.ts';
import type { HeadLookUp } from './entity-turns.ts';
import type { Transactions } from './transactions.ts';

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

/** What a publisher needs of the runtime. */
export interface PublisherParts {
  readonly dispatcher: CommandDispatcher;
  readonly control: ControlBlock;
  readonly storedHead: (type: string, id: string) => { version: number } | undefined;
  readonly actorTypes: ReadonlyMap<string, AnyAggregate>;
  /** Entities whose events are declared, by their types. */
  readonly entities: ReadonlyMap<string, AnyAggregate>;
  readonly options: EntitySettings;
  readonly transactions: Transactions;
  /** Where the store is on another machine: it may know entities that this process does not. */
  readonly lookUp: HeadLookUp | undefined;
}
