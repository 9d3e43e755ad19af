// How a runtime fares: what `runtime.status()` tells.
import type { HeldShard } from './caller/shards.ts';
import type { SubscriptionStatus } from './handlers/handlers.ts';

/** What `runtime.status()` tells. Positions are log positions; counts are of now. */
export interface RuntimeStatus {
  state: 'open' | 'closing' | 'closed' | 'failed';
  written: number;
  synced: number;
  stored: number;
  inFlight: number;
  messagesUnderWay: number;
  shardRestarts: number;
  /** Shards whose thread one command's synchronous code has held for more than a second. */
  heldShards: HeldShard[];
  listenerErrors: number;
  subscriptions: SubscriptionStatus[];
}
