// Promises that wait until a subscription has come to a position.
import { checkInteger, checkSignal, deadlineLimitMs } from '../base/checks.ts';
import { clearTimeout, setTimeout } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { guarded } from '../base/guarded.ts';
import { onAbort } from '../base/on-abort.ts';
import { PositionQueue, type Queued } from '../base/position-queue.ts';
import { checkWaitFields, type WaitOptions } from './reading-options.ts';

interface Waiter extends Queued {
  resolve(): void;
  reject(error: unknown): void;
}

/** A wait as a user asks for it. */
export interface Wait {
  readonly position: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** @throws InvalidOptions */
export function waitFor(target: number | { readonly position: number }, options: WaitOptions): Wait {
  checkWaitFields(options);
  const { timeoutMs = 30_000, signal } = options;
  const position = typeof target === 'number' ? target : target?.position;
  checkInteger('position', position, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('timeoutMs', Math.ceil(timeoutMs), 0, deadlineLimitMs);
  if (signal !== undefined) checkSignal(signal);
  return { position, timeoutMs, signal };
}

export class Waiters {
  private readonly handler: string;
  private readonly waiting = new PositionQueue<Waiter>();
  private readonly reached: () => number;
  private readonly trouble: () => unknown;

  /** `trouble`: what holds the subscription up, as far as it knows. */
  constructor(handler: string, reached: () => number, trouble: () => unknown = () => undefined) {
    this.trouble = trouble;
    this.handler = handler;
    this.reached = reached;
  }

  wait(position: number, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      let forget = (): void => {};
      const settle = (end: () => void): void => {
        clearTimeout(timer);
        forget();
        this.waiting.remove(waiter);
        end();
      };
      const waiter: Waiter = {
        position,
        place: -1,
        order: 0,
        resolve: () => settle(resolve),
        reject: (error) => settle(() => reject(error)),
      };
      const late = guarded(() => {
        const details = { handler: this.handler, position, reached: this.reached(), timeoutMs };
        waiter.reject(this.trouble() ?? new TrunklineError('CaughtUpTimedOut', details));
      });
      const timer = setTimeout(late, timeoutMs);
      this.waiting.add(waiter);
      forget = onAbort(signal, () => waiter.reject(signal!.reason));
    });
  }

  advance(): void {
    const { waiting } = this;
    if (waiting.size === 0) return;
    const reached = this.reached();
    for (let next = waiting.takeUpTo(reached); next; next = waiting.takeUpTo(reached)) next.resolve();
  }

  fail(error: unknown): void {
    const { waiting } = this;
    for (let next = waiting.takeUpTo(Number.POSITIVE_INFINITY); next; next = waiting.takeUpTo(Number.POSITIVE_INFINITY))
      next.reject(error);
  }
}
