// What PostgreSQL and its client report, as our closed list of errors. No connection string or password ever gets into one.
// SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
import { TrunklineError } from '../../errors.ts';
import { own } from '../../own.ts';

export const storeName = 'PostgreSQL';

interface ServerError extends Error {
  code: string;
}

/** What the server, the socket or the client calls it; '' if nothing. */
export function codeOf(error: unknown): string {
  const code = (error as Partial<ServerError> | undefined)?.code;
  return typeof code === 'string' ? code : '';
}

/** Whether the server itself said no, and the connection is as it was: its SQLSTATE has five characters. */
export function isServerError(error: unknown): boolean {
  return error instanceof Error && 'severity' in error && /^[0-9A-Z]{5}$/.test(codeOf(error));
}

/** Whether the server has ended the connection with these words: by an administrator, a crash, a time-out of the session. */
export const endsConnection = (error: unknown): boolean => /^(08|57P|25P0[34])/.test(codeOf(error));

/**
 * Whether the server cannot serve anybody now, or is not there: connection, resources, intervention, its own system, or a
 * transaction that it has ended for its length.
 */
export function isAway(error: unknown): boolean {
  return !isServerError(error) || /^(08|53|57|58|XX|25P0[34])/.test(codeOf(error));
}

/** Whether a statement has taken longer than it may: by the server's clock or the client's. */
export function tookTooLong(error: unknown): boolean {
  if (error instanceof TrunklineError) return error.cause !== undefined && tookTooLong(error.cause);
  return codeOf(error) === '57014' || (error instanceof Error && error.message === 'Query read timeout');
}

/** Whether the server refuses the data: no repetition of the same statement will do. */
export function refusesData(error: unknown): boolean {
  // Data exceptions, constraint violations, limits of a row or an index entry. A column that must not be null is not ours:
  // every event would be refused.
  return isServerError(error) && /^(22|23(?!502)|54)/.test(codeOf(error));
}

/** The same error in our words; ours as they are. */
export function failure(error: unknown, schema: string): TrunklineError {
  if (error instanceof TrunklineError) return error;
  const cause = messageOf(error);
  const options = { cause: error };
  if (isServerError(error)) {
    const code = codeOf(error);
    if (code.startsWith('28') || code === '42501') {
      return new TrunklineError('StoreAccessDenied', { store: storeName, cause }, options);
    }
    if (code === '3F000' || code === '42P01') {
      return new TrunklineError('StoreSchemaMissing', { schema, reason: cause }, options);
    }
    const reason = own(unsuitable, code);
    if (reason !== undefined) {
      return new TrunklineError('StoreUnsuitable', { store: storeName, reason: `${reason} (${cause})` }, options);
    }
    // A column, function or constraint that is not there, one that is too many, another type, or a COPY that does not fit.
    if (code.startsWith('42') || code === '23502' || code === '22P03' || code === '22P04' || code === '428C9') {
      return new TrunklineError('StoreSchemaAltered', { schema, reason: cause }, options);
    }
    // It is there, and has answered: to say that it does not answer would send its reader to look for an outage.
    if (!isAway(error) && !mayPass(code)) {
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

/** Deadlocks, conflicts with other transactions, locks that were not to be had, statements that a pooler has lost. */
const mayPass = (code: string): boolean => /^(40|55|26|25)/.test(code);

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
