// How long `close` waits, as a user says it. What happens then: shutdown.ts.
import { checkDeadline, checkInteger } from '../base/checks.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';

/** How long `close` waits. */
export interface CloseOptions {
  /** In all, milliseconds, more than 0; default 30,000. Then what is left is given up: `CloseTimedOut`. */
  deadlineMs?: number | undefined;
  /**
   * For handlers that run, milliseconds, 0 to 2,147,483,647; default 10,000. Then their signals are aborted, and they are not
   * waited for: the next start hands them these events again. 0: at once.
   */
  handlerGraceMs?: number | undefined;
}

const closeFields = fieldsOf<CloseOptions>({ deadlineMs: true, handlerGraceMs: true });

/** @throws InvalidOptions */
export function checkCloseOptions(options: CloseOptions): void {
  checkFields('close', options, closeFields);
  if (options.handlerGraceMs !== undefined) checkInteger('handlerGraceMs', options.handlerGraceMs, 0, 2 ** 31 - 1);
  if (options.deadlineMs !== undefined) checkDeadline('deadlineMs', options.deadlineMs);
}

export const closeDeadlineMs = 30_000;
