// Errors as they cross threads and processes, and as outcomes keep them: { code, message, details }, rebuilt as the same class on the
// other side.

import type { ErrorCode, ErrorDetails } from './error-details.ts';
import { describeError, Rejected, TrunklineError } from './errors.ts';
import { anything, object, oneOf, type Shape } from './json.ts';

/** An error as it crosses a thread. */
export interface WireError {
  kind: 'rejected' | 'error';
  code: string;
  message: string;
  details: unknown;
}

/** Code and message of a rejection are the user's: in plain JavaScript a code may be a number. */
export const wireError: Shape<WireError> = object<WireError>({
  kind: oneOf('rejected', 'error'),
  code: anything,
  message: anything,
  details: anything,
});

/** The sending side. Whatever is not ours becomes `CommandFailed` with the name, message and stack it had. */
export function toWire(error: unknown, where: { aggregateType: string; command: string }): WireError {
  const ours = oursToWire(error);
  if (ours) return ours;
  const { name, message, stack } = describeError(error);
  const details: ErrorDetails['CommandFailed'] = { ...where, name, stack };
  const failed = new TrunklineError('CommandFailed', details).message;
  return { kind: 'error', code: 'CommandFailed', message: `${failed}: ${message}`, details };
}

function oursToWire(error: unknown): WireError | undefined {
  try {
    if (!(error instanceof Rejected || error instanceof TrunklineError)) return undefined;
    const kind = error instanceof Rejected ? 'rejected' : 'error';
    return { kind, code: error.code, message: error.message, details: error.details };
  } catch {
    return undefined; // a revoked proxy was thrown
  }
}

/** The receiving side of {@link toWire}. */
export function fromWire(wire: WireError): Rejected | TrunklineError {
  if (wire.kind === 'rejected') return new Rejected(wire.code, wire.details, wire.message);
  return new TrunklineError(wire.code as ErrorCode, wire.details as never, { message: wire.message });
}
