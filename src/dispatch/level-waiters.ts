// Promises that wait for the log to come to a position at some level.
import type { TrunklineError } from '../base/errors.ts';
import { PositionQueue, type Queued } from '../base/position-queue.ts';

/**
 * `bounded`: no longer than the runtime's bound. `reading`: the same, and not at all while the level's owner is in trouble.
 * `own`: the runtime's own work, or a command with a deadline: without a bound here.
 */
export type WaitBound = 'bounded' | 'reading' | 'own';

interface Waiter extends Queued {
  readonly patience: WaitBound;
  /** By the monotonic clock. */
  readonly since: number;
  resolve(): void;
  reject(error: unknown): void;
}

export class LevelWaiters {
  private readonly waiters = new PositionQueue<Waiter>();

  get isEmpty(): boolean {
    return this.waiters.size === 0;
  }

  add(
    position: number,
    resolve: () => void,
    reject: (error: unknown) => void,
    patience: WaitBound = 'own',
    since = 0,
  ): Waiter {
    const waiter = { position, resolve, reject, patience, since, place: -1, order: 0 };
    this.waiters.add(waiter);
    return waiter;
  }

  remove(waiter: Waiter): void {
    this.waiters.remove(waiter);
  }

  /** The level has come to `position`. */
  advance(position: number): void {
    const { waiters } = this;
    for (let next = waiters.takeUpTo(position); next; next = waiters.takeUpTo(position)) next.resolve();
  }

  /** Those who began to wait before `since` wait no longer. */
  expire(since: number, errorFor: (position: number) => Error): void {
    for (const waiter of this.waiters.all((one) => one.patience !== 'own' && one.since < since)) {
      this.waiters.remove(waiter);
      waiter.reject(errorFor(waiter.position));
    }
  }

  /** Those who read wait no longer. */
  failReading(error: TrunklineError): void {
    for (const waiter of this.waiters.all(({ patience }) => patience === 'reading')) {
      this.waiters.remove(waiter);
      waiter.reject(error);
    }
  }

  fail(error: TrunklineError): void {
    const { waiters } = this;
    const waiting = waiters.size; // one that comes meanwhile is not meant
    for (let i = 0; i < waiting; i++) waiters.takeUpTo(Number.POSITIVE_INFINITY)?.reject(error);
  }
}
