// A timer that waits, in memory. Host thread.
import type { Timer } from '../wire/timer.ts';

export interface Pending {
  readonly key: string;
  readonly timer: Timer;
  /** The tables have it, or are about to: it leaves them by a change of theirs. */
  isKept: boolean;
  /** The tables may have an earlier one of its key. */
  readonly mayReplace: boolean;
  /** It has been cancelled, replaced, or carried out. */
  isOver: boolean;
  /** It stands in the line of those that are due first. */
  isInLine: boolean;
}

export const pendingOf = (key: string, timer: Timer, isKept: boolean, mayReplace: boolean): Pending => ({
  key,
  timer,
  isKept,
  mayReplace,
  isOver: false,
  isInLine: false,
});
