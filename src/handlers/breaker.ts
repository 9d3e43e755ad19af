// The circuit breaker of one handler: after so many failures in a row nobody passes for a while; then one attempt decides.
// A service that is down thus costs an attempt now and then, and not the attempts of every event, one after the other.
//
// A closed circuit costs nothing: the library hears of failures, and of the first success after one.
import { type CircuitBreakerPolicy, CircuitState, ConsecutiveBreaker, circuitBreaker, handleAll } from 'cockatiel';
import { guarded } from '../guarded.ts';

export class Breaker {
  private readonly policy: CircuitBreakerPolicy | undefined;
  private readonly pauseMs: number;
  private hasFailed = false;
  /** Who waits for the circuit; the first is let through when the pause is over. */
  private waiting: (() => void)[] = [];
  private timer: NodeJS.Timeout | undefined;
  private isProbing = false;
  private isClosed = false;

  constructor(settings: { failures: number; pauseMs: number } | undefined) {
    this.pauseMs = settings?.pauseMs ?? 0;
    this.policy =
      settings &&
      circuitBreaker(handleAll, {
        halfOpenAfter: Math.max(1, settings.pauseMs - 1), // it must not refuse whom our timer lets through
        breaker: new ConsecutiveBreaker(settings.failures),
      });
  }

  get isOpen(): boolean {
    return this.policy !== undefined && this.policy.state !== CircuitState.Closed;
  }

  /** Closed, and the last attempt went well: nobody need ask. */
  get isQuiet(): boolean {
    return !this.hasFailed;
  }

  /** Resolves when an attempt may be made; it must be followed by `succeeded` or `failed`. */
  async pass(): Promise<void> {
    while (this.isOpen && !this.isClosed) {
      if (this.timer === undefined && !this.isProbing) {
        this.timer = setTimeout(
          guarded(() => this.probe()),
          this.pauseMs,
        );
      }
      await new Promise<void>((resolve) => this.waiting.push(resolve));
      if (this.isProbing) return;
    }
  }

  succeeded(): Promise<void> | undefined {
    if (this.policy === undefined || !this.hasFailed) return undefined;
    this.hasFailed = false;
    return this.tell(() => {});
  }

  async failed(error: unknown): Promise<void> {
    this.hasFailed = true;
    await this.tell(() => {
      throw error;
    });
  }

  /** Nobody waits any longer. */
  close(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.isClosed = true;
    this.release();
  }

  private probe(): void {
    this.timer = undefined;
    this.isProbing = true;
    this.waiting.shift()?.();
  }

  private async tell(outcome: () => void): Promise<void> {
    await this.policy?.execute(outcome).catch(() => {});
    if (!this.isProbing) return;
    this.isProbing = false;
    this.release(); // to pass, or to wait for the next pause
  }

  private release(): void {
    for (const go of this.waiting.splice(0)) go();
  }
}
