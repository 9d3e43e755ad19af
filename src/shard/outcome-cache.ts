// Outcomes of commands with an idempotency key, until the store has them. Afterwards the store is asked.
import type { Outcome } from '../model/receipt.ts';
import type { Actor } from './actor.ts';

export interface CachedOutcome {
  version: number;
  outcome: Outcome;
}

export class OutcomeCache {
  private readonly byKey = new Map<string, CachedOutcome>();
  private queue: { key: string; remembered: CachedOutcome; publishedBytes: number }[] = [];

  static key(type: string, id: string, key: string): string {
    return `${type}\0${id}\0${key}`;
  }

  /** How many there are, those that a newer one of the same key has replaced included. */
  get count(): number {
    return this.queue.length;
  }

  get(key: string): CachedOutcome | undefined {
    return this.byKey.get(key);
  }

  /** The keys of an aggregate's outcomes from version `from` on, below `below`. */
  *keysOf(type: string, id: string, from: number, below: number): Generator<string> {
    const prefix = OutcomeCache.key(type, id, '');
    for (const [name, { version }] of this.byKey) {
      if (version >= from && version < below && name.startsWith(prefix)) yield name.slice(prefix.length);
    }
  }

  /** What a command has come to: `publishedBytes` as for `add`. */
  keep({ type, id, version }: Actor, key: string, outcome: Outcome, publishedBytes: number): void {
    this.add(OutcomeCache.key(type.name, id, key), { version, outcome }, publishedBytes);
  }

  /** `publishedBytes`: what the ring had published with it; Infinity keeps it permanently. */
  add(key: string, remembered: CachedOutcome, publishedBytes: number): void {
    this.byKey.set(key, remembered);
    this.queue.push({ key, remembered, publishedBytes });
  }

  forget(storedBytes: number): void {
    let count = 0;
    while (count < this.queue.length && this.queue[count]!.publishedBytes <= storedBytes) count++;
    for (const { key, remembered } of this.queue.splice(0, count)) {
      // The key may stand for a newer outcome by now: the first one has expired, and the command ran again.
      if (this.byKey.get(key) === remembered) this.byKey.delete(key);
    }
  }
}
