// How long each answered call is paid for: when that time is over the desk is asked for more, and if there is none the call is
// ended. One timer a call, gone with it.
import type { LiveCall } from './calls.ts';
import type { RoutingDesk } from './desk.ts';

/** A timer of Node's cannot wait longer. */
const longestWaitMs = 2 ** 31 - 1;

export class CallClock {
  readonly #desk: RoutingDesk;
  readonly #spent: (call: LiveCall) => void;
  readonly #timers = new Map<LiveCall, NodeJS.Timeout>();

  constructor(desk: RoutingDesk, spent: (call: LiveCall) => void) {
    this.#desk = desk;
    this.#spent = spent;
  }

  /** The call has been answered. */
  start(call: LiveCall): void {
    if (!call.answered || call.ending) return;
    const leftMs = call.answered.at + this.#desk.coveredMs(call.id) - performance.now();
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
    if (isCovered) this.start(call);
    else this.#spent(call);
  }
}
