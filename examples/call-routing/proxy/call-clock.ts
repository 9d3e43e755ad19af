// How long each answered call is paid for: when that time is over the desk is asked for more, and if there is none the call is
// ended. So is one whose answer the caller does not acknowledge in time: there may be no caller any more, and the trunk would be
// paid for as long as there is money. One timer a call, gone with it.
import type { LiveCall } from './calls.ts';
import type { RoutingDesk } from './desk.ts';

/** A timer of Node's cannot wait longer. */
const longestWaitMs = 2 ** 31 - 1;

export class CallClock {
  readonly #desk: RoutingDesk;
  readonly #acknowledgeMs: number;
  readonly #over: (call: LiveCall, endedBy: 'credit' | 'nobody') => void;
  readonly #timers = new Map<LiveCall, NodeJS.Timeout>();

  /** `acknowledgeMs`: how long an answer may wait for its ACK (RFC 3261 §13.3.1.4). */
  constructor(desk: RoutingDesk, acknowledgeMs: number, over: (call: LiveCall, endedBy: 'credit' | 'nobody') => void) {
    this.#desk = desk;
    this.#acknowledgeMs = acknowledgeMs;
    this.#over = over;
  }

  /** The call has been answered. */
  start(call: LiveCall): void {
    if (!call.answered || call.ending) return;
    const coveredMs = this.#desk.coveredMs(call.id);
    const dueMs = call.isTaken ? coveredMs : Math.min(coveredMs, this.#acknowledgeMs);
    const leftMs = call.answered.at + dueMs - performance.now();
    const timer = setTimeout(() => this.#ring(call), Math.min(Math.max(0, leftMs), longestWaitMs)).unref();
    this.#timers.set(call, timer);
  }

  stop(call: LiveCall): void {
    clearTimeout(this.#timers.get(call));
    this.#timers.delete(call);
  }

  stopAll(): void {
    for (const call of this.#timers.keys()) this.stop(call);
  }

  #ring(call: LiveCall): void {
    this.#timers.delete(call);
    if (!call.answered || call.ending) return;
    const elapsedMs = performance.now() - call.answered.at;
    const isCovered = this.#desk.coveredMs(call.id) > elapsedMs || this.#desk.extend(call.id);
    if (!isCovered) this.#over(call, 'credit');
    else if (!call.isTaken && elapsedMs >= this.#acknowledgeMs) this.#over(call, 'nobody');
    else this.start(call);
  }
}
