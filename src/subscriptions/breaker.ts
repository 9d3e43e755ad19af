// The circuit breaker of one handler: after so many failures in a row no attempt passes for a while; then one attempt decides.
// A service that is down thus costs an attempt now and then, and not the attempts of every event, one after the other.
//
// A closed circuit costs nothing: it hears of failures, and of the first success after one.
import { Circuit } from '../base/circuit.ts';
import { clearTimeout, setTimeout } from '../base/clock.ts';
import { guarded } from '../base/guarded.ts';
import { onAbort } from '../base/on-abort.ts';

export class Breaker {
  private readonly circuit: Circuit | undefined;
  private readonly pauseMs: number;
  private hasFailed = false;
  /** Who waits for the circuit; the first is let through (`true`) when the pause is over. */
  private waiting: ((isLet: boolean) => void)[] = [];
  private timer: NodeJS.Timeout | undefined;
  private isProbing = false;
  private isClosed = false;

  constructor(settings: { failures: number; pauseMs: number } | undefined) {
    this.pauseMs = settings?.pauseMs ?? 0;
    this.circuit = settings && new Circuit(settings.failures, 0); // the pause is this one's timer
  }

  get isOpen(): boolean {
    return this.circuit !== undefined && this.circuit.state !== 'closed';
  }

  /** Closed, and the last attempt went well: no need to ask. */
  get isQuiet(): boolean {
    return !this.hasFailed;
  }

  /** True when an attempt may be made; `succeeded`, `failed` or `skipped` must follow. False: the signal has aborted. */
  async pass(signal: AbortSignal): Promise<boolean> {
    while (this.isOpen && !this.isClosed) {
      if (signal.aborted) return false;
      if (this.timer === undefined && !this.isProbing) {
        this.timer = setTimeout(
          guarded(() => this.probe()),
          this.pauseMs,
        );
      }
      if (await this.wait(signal)) return true;
    }
    return !signal.aborted;
  }

  private async wait(signal: AbortSignal): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.waiting.push(resolve);
    const forget = onAbort(signal, () => {
      this.waiting = this.waiting.filter((one) => one !== resolve);
      resolve(false);
    });
    const isLet = await promise;
    forget();
    return isLet;
  }

  /** The attempt that was let through is not made: another decides. */
  skipped(): void {
    if (!this.isProbing) return;
    this.isProbing = false;
    this.circuit!.decide(true); // nothing has shown that it works: it stays open
    this.release();
  }

  succeeded(): void {
    if (this.isOpen && !this.isProbing) return; // an attempt from before it opened: only the probe decides
    this.hasFailed = false;
    if (this.circuit !== undefined) this.tell(this.circuit, false);
  }

  failed(): void {
    this.hasFailed = true;
    if (this.circuit !== undefined) this.tell(this.circuit, true);
  }

  /** No attempt waits any longer. */
  close(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.isClosed = true;
    this.release();
  }

  private probe(): void {
    this.timer = undefined;
    const first = this.waiting.shift();
    if (first === undefined) return; // who comes next begins another pause
    this.isProbing = this.circuit!.probe();
    first(this.isProbing);
  }

  private tell(circuit: Circuit, hasFailed: boolean): void {
    if (!this.isProbing) {
      if (circuit.state === 'closed') circuit.ended(hasFailed);
      return;
    }
    this.isProbing = false;
    circuit.decide(hasFailed);
    this.release(); // to pass, or to wait for the next pause
  }

  private release(): void {
    for (const go of this.waiting.splice(0)) go(false);
  }
}
