// How many calls a second an account may begin: each is written, and the log is for all accounts. A token bucket an account, of
// accounts that may call; one second's calls may come at once.
interface Bucket {
  tokens: number;
  at: number;
}

export class CallRates {
  readonly #buckets = new Map<string, Bucket>();

  /** False if this would be one too many. */
  take(account: string, perSecond: number, now: number = performance.now()): boolean {
    const bucket = this.#buckets.get(account) ?? { tokens: perSecond, at: now };
    bucket.tokens = Math.min(perSecond, bucket.tokens + ((now - bucket.at) * perSecond) / 1_000);
    bucket.at = now;
    this.#buckets.set(account, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }
}
