// How many answers a second an address gets that leave no state behind (challenges, refusals). RFC 3261 §26.3.2.4 asks for this: a
// stranger is challenged once, without state. Its address may be forged: beyond the rate it gets nothing, so that this router is no
// amplifier. Many strangers share a host (NAT), and one of them may flood: so each address (host and port) has a rate of its own,
// and its first answers of a second come out of a room of the host that those who ask for many cannot use up. Who has shown that it
// reads what goes to its address (it has a nonce that went there, or a call) is counted apart: what others write in its name takes
// nothing from it. Fixed blocks of counters by a keyed hash: floods from any number of addresses do not make them grow.
import { randomBytes } from 'node:crypto';
import { addressText } from './matching.ts';
import type { Address } from './message.ts';

const buckets = 65_536;
const windowMs = 1_000;
/** A challenge, and once more if it was lost. */
const firstAnswers = 2;

/** What is counted: of known addresses, of strangers' addresses, of their hosts' first answers and further ones. */
const kinds = ['known', 'stranger', 'first', 'further'] as const;
type Kind = (typeof kinds)[number];

export class SourceRates {
  readonly #perSecond: number;
  readonly #counts: Readonly<Record<Kind, Uint16Array>>;
  readonly #seed = randomBytes(4).readUInt32LE();
  #windowEndsAt = 0;

  constructor(perSecond: number) {
    this.#perSecond = Math.min(perSecond, 65_535);
    this.#counts = Object.fromEntries(kinds.map((kind) => [kind, new Uint16Array(buckets)])) as Record<
      Kind,
      Uint16Array
    >;
  }

  /** Whether one more may go to this address now. */
  take(to: Address, isKnown: boolean, now: number = performance.now()): boolean {
    if (now >= this.#windowEndsAt) {
      for (const kind of kinds) this.#counts[kind].fill(0);
      this.#windowEndsAt = now + windowMs;
    }
    const own = this.#bucketOf(addressText(to));
    if (isKnown) return this.#count('known', own);
    const isFirst = this.#counts.stranger[own]! < firstAnswers;
    if (!this.#count('stranger', own)) return false;
    return this.#count(isFirst ? 'first' : 'further', this.#bucketOf(to.host));
  }

  #count(kind: Kind, bucket: number): boolean {
    const counts = this.#counts[kind];
    if (counts[bucket]! >= this.#perSecond) return false;
    counts[bucket]!++;
    return true;
  }

  #bucketOf(text: string): number {
    let hash = this.#seed;
    for (let at = 0; at < text.length; at++) {
      hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
      hash ^= hash >>> 15;
    }
    return (hash >>> 0) % buckets;
  }
}
