// Functions that Node calls by itself: timers, watchers, messages, signals, promises that no code awaits. An exception there
// ends the process, whatever it was about. So each goes through here; test/guarded.test.ts finds those that do not.

import { lastResort } from './logger.ts';
import { isThenable } from './thenable.ts';

export type Report = (error: unknown) => void;

/** `work`, with what it throws, or rejects with, handed to `report`. Never throws, nor does what it returns. */
export function guarded<Args extends unknown[]>(
  work: (...args: Args) => unknown,
  report: Report = lastResort,
): (...args: Args) => void {
  return (...args) => {
    try {
      const result = work(...args);
      if (isThenable(result)) unawaited(Promise.resolve(result), report);
    } catch (error) {
      tell(report, error);
    }
  };
}

/** A promise that no code awaits: its rejection is handed to `report`. */
export function unawaited(promise: Promise<unknown>, report: Report = lastResort): void {
  promise.catch((error: unknown) => tell(report, error));
}

function tell(report: Report, error: unknown): void {
  try {
    report(error);
  } catch {
    lastResort(error);
  }
}
