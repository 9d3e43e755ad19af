// A stored event that a load cannot read: its error says where in the log it lies, which is looked up only then.

import { isError, TrunklineError } from '../base/errors.ts';

/** The same error with the position, where it is one of a stored event; `positionOf`: 0 if it is not known here. */
export function withPosition(error: unknown, positionOf: () => number): unknown {
  for (const code of ['UpcastFailed', 'UnsupportedEventVersion'] as const) {
    if (!isError(error, code)) continue;
    const details = { ...error.details, position: positionOf() };
    return new TrunklineError(code, details as never, { cause: error.cause });
  }
  if (!isError(error, 'UnknownEventType') || error.details.stored === undefined) return error;
  const stored = { ...error.details.stored, position: positionOf() };
  return new TrunklineError('UnknownEventType', { ...error.details, stored });
}
