// What a runtime tells of itself.

import type { DownShard } from '../dispatch/shard-lives.ts';
import type { HeldShard } from '../dispatch/shards.ts';
import type { RelayStatus, UpkeepStatus } from '../outbox/outbox.ts';
import type { SubscriptionStatus } from '../subscriptions/handlers.ts';

/** What `runtime.status()` tells. Positions are log positions; counts are of now. */
export interface RuntimeStatus {
  state: 'open' | 'closing' | 'closed' | 'failed';
  written: number;
  synced: number;
  stored: number;
  /** 0 without a stream */
  published: number;
  /** The log's disk is short, so that it keeps nothing for `log.retainBytes` and `log.retainMs`: a store that goes back is not refilled. */
  retentionIsGivenUp: boolean;
  inFlight: number;
  messagesUnderWay: number;
  /** Messages since the start that their targets have refused (`Rejected`), and that were given up after their attempts. */
  messagesRefused: number;
  messagesFailed: number;
  /** Messages among the dead letters now, see `runtime.deadLetters.messages`. */
  messageDeadLetters: number;
  /** Live actors in all shards, as of their last sweeps; the others are in the store, and come back when they are asked. */
  actors: number;
  shardRestarts: number;
  /** How often one has died as it started, before it had taken a command: see `starts`. */
  shardDeathsAtStart: number;
  /** Shards that have died and have not started again yet, each with why: see `starts`. */
  downShards: DownShard[];
  /** Shards whose thread one command's synchronous code has held for more than a second. */
  heldShards: HeldShard[];
  listenerErrors: number;
  /** Events that the store has not taken since the start; see `runtime.store.quarantined()`. */
  quarantined: number;
  /** Events that a sink has passed over since the start, by sink: the log names each, a stream's quarantine topic keeps it. */
  setAside: Readonly<Record<string, number>>;
  /** Where the store takes transactions: how their events come into the log. */
  relay: RelayStatus | undefined;
  /** Where the store is kept in months: which of them are missing, and what lies beside them. */
  upkeep: UpkeepStatus | undefined;
  /** Rows of the store that cannot be read as events, and were left out, since the start; the log names each. */
  unreadable: number;
  subscriptions: SubscriptionStatus[];
}
