// What PostgreSQL and its client report, as our closed list of errors. No connection string or password ever gets into one.
import { TrunklineError } from '../../../base/errors.ts';
import { own } from '../../../base/own.ts';
import { codeOf, type FaultKind, isServerError, kindOf } from './sqlstate.ts';

export const storeName = 'PostgreSQL';

/** Whether the server has ended the connection with these words: by an administrator, a crash, a time-out of the session. */
export const endsConnection = (error: unknown): boolean => /^(08|57P|25P0[34])/.test(codeOf(error));

/** Whether the server cannot serve clients now, is not there, or has taken too long. */
export function isAway(error: unknown): boolean {
  const kind = kindOf(error);
  return kind === 'away' || kind === 'slow';
}

/** Whether the server refuses the data: no repetition of the same statement will do. */
export const refusesData = (error: unknown): boolean => isServerError(error) && kindOf(error) === 'data';

/** `what` has taken longer than a statement may, and cannot be done in smaller parts. */
export const tooSlow = (what: string, cause: unknown): TrunklineError =>
  new TrunklineError('StoreTooSlow', { store: storeName, what }, { cause });

/** The same error in our words; ours as they are. */
export function failure(error: unknown, schema: string): TrunklineError {
  if (error instanceof TrunklineError) return error;
  const cause = messageOf(error);
  const options = { cause: error };
  if (isServerError(error)) {
    const code = codeOf(error);
    const kind = own(formats, code) ?? kindOf(error);
    switch (kind) {
      case 'denied':
        return new TrunklineError('StoreAccessDenied', { store: storeName, cause }, options);
      case 'missing':
        return new TrunklineError('StoreSchemaMissing', { schema, reason: cause }, options);
      case 'unsuitable': {
        const reason = `${own(unsuitable, code)} (${cause})`;
        return new TrunklineError('StoreUnsuitable', { store: storeName, reason }, options);
      }
      case 'altered':
        return new TrunklineError('StoreSchemaMismatch', { schema, reason: cause }, options);
      // It is there, and has answered: to say that it does not answer would send its reader to look for an outage.
      case 'data':
      case 'refused':
        return new TrunklineError('StoreRefused', { store: storeName, cause }, options);
    }
  } else if (isConnectionSetup(error)) {
    const reason = `the connection cannot be set up this way: ${cause}`;
    return new TrunklineError('StoreUnsuitable', { store: storeName, reason }, options);
  } else if (isProgrammingError(error)) {
    return new TrunklineError(
      'InternalFault',
      { where: storeName, cause: `${(error as Error).name}: ${cause}` },
      options,
    );
  }
  return new TrunklineError('StoreUnavailable', { store: storeName, cause }, options);
}

/** Data exceptions that say how the database or our statements are, for every reader. */
const formats: Readonly<Record<string, FaultKind>> = { '22P03': 'altered', '22P04': 'altered', '22P05': 'unsuitable' };

/** What a server says that no repetition changes, by SQLSTATE. */
const unsuitable: Readonly<Record<string, string>> = {
  '3D000': 'the database does not exist',
  '25006': 'the server takes no writes; is it a standby? Connect to the primary',
  '22P05': "the database's encoding must be UTF8",
  '0A000': 'it lacks a feature that is needed; PostgreSQL 15 or newer is',
};

/** TLS that one side does not have or does not trust, or no password where one is asked for: as configured, never. */
function isConnectionSetup(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (/^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH)/.test(codeOf(error)))
    return true;
  return /server does not support SSL|^SASL|client password must be|EPROTO/.test(error.message);
}

const isProgrammingError = (error: unknown): boolean =>
  error instanceof RangeError ||
  error instanceof TypeError ||
  error instanceof ReferenceError ||
  error instanceof SyntaxError;

function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  const code = codeOf(error);
  return code === '' ? error.message : `${error.message} (${code})`;
}
