// How many answers a second an address gets that leave no state behind (challenges, refusals). An address may be forged: beyond
// the rate it gets nothing, so that this router is no amplifier, and no oracle for guesses at passwords. A fixed block of
// counters by a keyed hash of the host: floods from any number of addresses do not make it grow.
import { randomBytes } from 'node:crypto';

const buckets = 65_536;
const windowMs = 1_000;

export class SourceRates {
  readonly #perSecond: number;
  readonly #counts = new Uint16Array(buckets);
  readonly #seed = randomBytes(4).readUInt32LE();
  #windowEndsAt = 0;

  constructor(perSecond: number) {
    this.#perSecond = Math.min(perSecond, 65_535);
  }

  /** Whether one more may go to this host now. */
  take(host: string, now: number = performance.now()): boolean {
    if (now >= this.#windowEndsAt) {
      this.#counts.fill(0);
      this.#windowEndsAt = now + windowMs;
    }
    const bucket = this.#bucketOf(host);
    if (this.#counts[bucket]! >= this.#perSecond) return false;
    this.#counts[bucket]!++;
    return true;
  }

  #bucketOf(host: string): number {
    let hash = this.#seed;
    for (let at = 0; at < host.length; at++) {
      hash = Math.imul(hash ^ host.charCodeAt(at), 0x01000193);
      hash ^= hash >>> 15;
    }
    return (hash >>> 0) % buckets;
  }
}
