// RFC 3261 §17's clock. Tests shorten T1; everything else follows from it.
export interface Timers {
  /** T1, the round-trip estimate: first retransmission interval. */
  readonly t1Ms: number;
  /** T2: the longest interval between retransmissions of anything but an INVITE. */
  readonly t2Ms: number;
  /** Timers B, D, F, H, J, L, M: how long to try, and how long to remember afterwards. */
  readonly giveUpMs: number;
  /** Timer C: how long a called party may ring. */
  readonly ringingMs: number;
  /** How long a call may last before the router forgets it. */
  readonly callMs: number;
}

export function makeTimers(t1Ms = 500): Timers {
  return { t1Ms, t2Ms: 8 * t1Ms, giveUpMs: 64 * t1Ms, ringingMs: 200_000, callMs: 4 * 3_600_000 };
}

/**
 * Calls `again` after `firstMs`, then after twice that, up to `longestMs` apart, until stopped. Each time only once the
 * sockets have been read: after a stall, timers come first, and the answer may be among what waits there.
 */
export class Retransmission {
  #timer: NodeJS.Timeout | undefined;
  readonly #longestMs: number;
  readonly #again: () => void;

  constructor(firstMs: number, longestMs: number, again: () => void) {
    this.#longestMs = longestMs;
    this.#again = again;
    this.#arm(firstMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(intervalMs: number): void {
    this.#timer = setTimeout(() => setImmediate(() => this.#repeat(intervalMs)), intervalMs).unref();
  }

  #repeat(intervalMs: number): void {
    if (this.#timer === undefined) return; // stopped meanwhile
    this.#arm(Math.min(2 * intervalMs, this.#longestMs));
    this.#again();
  }
}
