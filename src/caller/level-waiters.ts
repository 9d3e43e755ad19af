// Promises that wait for the log to come to a position at some level.
import type { TrunklineError } from '../errors.ts';
import { PositionQueue, type Queued } from '../position-queue.ts';

interface Waiter extends Queued {
  resolve(): void;
  reject(error: unknown): void;
}

export class LevelWaiters {
  private readonly waiters = new PositionQueue<Waiter>();

  get isEmpty(): boolean {
    return this.waiters.size === 0;
  }

  add(position: number, resolve: () => void, reject: (error: unknown) => void): Waiter {
    const waiter = { position, resolve, reject, place: -1, order: 0 };
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

  fail(error: TrunklineError): void {
    const { waiters } = this;
    const waiting = waiters.size; // one that comes meanwhile is not meant
    for (let i = 0; i < waiting; i++) waiters.takeUpTo(Number.POSITIVE_INFINITY)?.reject(error);
  }
}
