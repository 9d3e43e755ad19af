// Promises that wait for the log to come to a position at some level.
import type { TrunklineError } from '../errors.ts';

interface Waiter {
  position: number;
  resolve(): void;
  reject(error: unknown): void;
}

export class LevelWaiters {
  private waiters: Waiter[] = [];

  get isEmpty(): boolean {
    return this.waiters.length === 0;
  }

  add(position: number, resolve: () => void, reject: (error: unknown) => void): Waiter {
    const waiter = { position, resolve, reject };
    this.waiters.push(waiter);
    return waiter;
  }

  remove(waiter: Waiter): void {
    this.waiters = this.waiters.filter((one) => one !== waiter);
  }

  /** The level has come to `position`. One pass: nearly all that wait are released together. */
  advance(position: number): void {
    const { waiters } = this;
    if (waiters.length === 0) return;
    const rest: Waiter[] = [];
    this.waiters = rest;
    for (const waiter of waiters) {
      if (waiter.position <= position) waiter.resolve();
      else rest.push(waiter);
    }
  }

  fail(error: TrunklineError): void {
    const { waiters } = this;
    this.waiters = [];
    for (const waiter of waiters) waiter.reject(error);
  }
}
