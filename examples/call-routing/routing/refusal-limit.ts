// How many refused calls of an account are written a minute. An account that cannot pay, is suspended, or calls where no bid goes
// may know why; but one that goes on and on must not fill the log for everybody. By account, of accounts that may call.
const windowMs = 60_000;

export class RefusalLimit {
  readonly #perMinute: number;
  readonly #counts = new Map<string, number>();
  #windowEndsAt = 0;
  /** Calls that were refused without being written. */
  unrecorded = 0;

  constructor(perMinute: number) {
    this.#perMinute = perMinute;
  }

  /** Whether this account has been refused so often lately that its calls are not looked at. */
  isReached(accountId: string, now: number = performance.now()): boolean {
    if (now >= this.#windowEndsAt) {
      this.#counts.clear();
      this.#windowEndsAt = now + windowMs;
    }
    if ((this.#counts.get(accountId) ?? 0) < this.#perMinute) return false;
    this.unrecorded++;
    return true;
  }

  count(accountId: string): void {
    this.#counts.set(accountId, (this.#counts.get(accountId) ?? 0) + 1);
  }
}
