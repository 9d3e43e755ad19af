// Waiting with a bound: every wait that a user's call can end in has one, and an owner, who knows what holds it up. Once the
// bound has passed, the call ends with the owner's own error, or, if the owner knows of none, with `WaitTimedOut`. Work that
// waits on the runtime's own account (a flusher, a delivery) has no bound: no caller waits behind it.
import { clearTimeout, setTimeout } from './clock.ts';
import { isError, TrunklineError } from './errors.ts';
import { guarded } from './guarded.ts';

export interface BoundedWait {
  /** What is waited for, as the error says it: 'the checkpoint of billing'. */
  what: string;
  timeoutMs: number;
  /** What holds it up, as far as its owner knows. */
  trouble?(): unknown;
}

/** The promise, for as long as the bound lasts. */
export function within<T>(promise: Promise<T>, { what, timeoutMs, trouble }: BoundedWait): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = guarded(() => reject(trouble?.() ?? new TrunklineError('WaitTimedOut', { what, timeoutMs })));
    const timer = setTimeout(late, timeoutMs);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** The error that a wait ends with for its caller: what holds it up comes first. */
export const heldUpBy = (error: unknown): unknown =>
  isError(error, 'WaitTimedOut') && error.cause instanceof Error ? error.cause : error;

/** A wait for a level of what is in the log already. @throws DeadlineExceeded in the place of WaitTimedOut */
export function carriedOut(reached: Promise<void>): Promise<void> {
  return reached.catch((error: unknown) => {
    if (!isError(error, 'WaitTimedOut')) throw error;
    const details = { deadlineMs: error.details.timeoutMs, executed: 'yes' } as const;
    throw new TrunklineError('DeadlineExceeded', details, { cause: heldUpBy(error) });
  });
}
