// What makes an environment a *local cache*: the store is elsewhere (PostgreSQL), and here lies what this machine needs to go
// on without asking there: heads, snapshots, outcomes of idempotent commands, and the newest events, up to a bound.
//
// Invariant: an event leaves only once the store has it.
import type { Environment } from './environment.ts';
import { lastNumber } from './layout.ts';

/** Most blocks kept, of 4 KiB each before they are packed. */
export const cacheBlockLimit: number = 1 << 16;

const prunedAtOnce = 4096; // bounds what one transaction has to do

export class LocalCache {
  private readonly environment: Environment;
  private readonly blockLimit: number;
  private readonly storedPosition: () => number;
  private count = 0;

  /** `storedPosition`: how far the store is. */
  constructor(environment: Environment, storedPosition: () => number, blockLimit: number) {
    this.environment = environment;
    this.storedPosition = storedPosition;
    this.blockLimit = blockLimit;
    this.recount();
  }

  /** A block has been added. */
  sealed(): void {
    this.count++;
  }

  /** What was counted in a transaction that failed is not there. */
  recount(): void {
    this.count = (this.environment.blocks.getStats() as { entryCount: number }).entryCount;
  }

  /** Within the transaction: let the oldest blocks go. */
  prune(): void {
    const { blocks } = this.environment;
    const surplus = Math.min(this.count - this.blockLimit, prunedAtOnce);
    if (surplus <= 0) return;
    const stored = this.storedPosition();
    // A block's events end before the next one begins.
    const keys = [...blocks.getKeys({ limit: surplus + 1 })].map((key) => Buffer.from(key));
    for (let i = 0; i + 1 < keys.length && lastNumber(keys[i + 1]!) <= stored + 1; i++) {
      blocks.removeSync(keys[i]!);
      this.count--;
    }
  }
}
