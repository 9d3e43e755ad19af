// Promises that wait until a subscription has come to a position.
import { TrunklineError } from '../errors.ts';
import { guarded } from '../guarded.ts';

interface Waiter {
  position: number;
  resolve(): void;
  reject(error: unknown): void;
}

export class Waiters {
  private readonly handler: string;
  private readonly waiting = new Set<Waiter>();
  private readonly reached: () => number;

  constructor(handler: string, reached: () => number) {
    this.handler = handler;
    this.reached = reached;
  }

  wait(position: number, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const settle = (end: () => void): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        this.waiting.delete(waiter);
        end();
      };
      const waiter: Waiter = {
        position,
        resolve: () => settle(resolve),
        reject: (error) => settle(() => reject(error)),
      };
      const onAbort = guarded(() => waiter.reject(signal!.reason));
      const late = guarded(() => {
        const details = { handler: this.handler, position, reached: this.reached(), timeoutMs };
        waiter.reject(new TrunklineError('CaughtUpTimedOut', details));
      });
      const timer = setTimeout(late, timeoutMs);
      signal?.addEventListener('abort', onAbort);
      this.waiting.add(waiter);
    });
  }

  advance(): void {
    if (this.waiting.size === 0) return;
    const reached = this.reached();
    for (const waiter of this.waiting) if (waiter.position <= reached) waiter.resolve();
  }

  fail(error: unknown): void {
    for (const waiter of this.waiting) waiter.reject(error);
  }
}
