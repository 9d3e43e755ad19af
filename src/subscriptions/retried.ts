// Which failures of a handler are tried again, after which pauses, and as what a library that tries again is handed them.
import { backoffMs, stretched } from '../base/backoff.ts';
import { asError } from '../base/errors.ts';
import type { Subject } from './attempt.ts';
import type { RetryOptions } from './handlers.ts';
import { isOutgrown } from './outgrown.ts';
import type { SubscriptionSettings } from './settings.ts';

/** A batch that may have failed by its size alone: it is handed over in halves, by Batches. */
export const isTooLarge = (subject: Subject, error: unknown): boolean =>
  Array.isArray(subject) && subject.length > 1 && isOutgrown(error);

export function isRetried({ nonRetryable }: SubscriptionSettings['retry'], subject: Subject, error: unknown): boolean {
  if (isTooLarge(subject, error)) return false;
  return !nonRetryable.some((one) => {
    try {
      if (one === Error || one.prototype instanceof Error) return error instanceof (one as new () => Error);
      return (one as (error: unknown) => boolean)(error);
    } catch {
      return false; // what cannot be decided is tried again
    }
  });
}

/** How long to wait before the next attempt, after so many retries; jitter doubles it at most. */
export function retryDelayMs(
  { minDelayMs, factor, maxDelayMs: maxMs, jitter }: Required<RetryOptions>,
  retriesMade: number,
): number {
  const minMs = jitter ? stretched(minDelayMs) : minDelayMs;
  return Math.round(backoffMs(retriesMade + 1, { minMs, maxMs, factor }));
}

/** p-retry gives up on a TypeError; to us it is a failure like any other. */
export function failureOf(error: unknown): Error {
  const failure = asError(error);
  return failure instanceof TypeError ? new Error(failure.message, { cause: error }) : failure;
}
