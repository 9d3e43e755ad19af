// What each error of PostgreSQL, its client or its socket is: the one table, used by all that try again, halve, refuse or give
// up. The longest code that an SQLSTATE begins with counts.
// SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
import { TrunklineError } from '../../../base/errors.ts';
import { own } from '../../../base/own.ts';

/**
 * - `away`: the server serves no client now, or is not there: connection, resources, intervention, its own system, or a
 *   transaction that it has ended for its length
 * - `busy`: another transaction stood in the way (a lock, a deadlock, a conflict), or a pooler has lost a statement
 * - `slow`: a statement took longer than it may; fewer rows may not
 * - `data`: what it was given; no repetition of the same statement will do
 * - `unsuitable`, `denied`, `missing`, `altered`: how the database is set up, what this role may do there, no schema of ours,
 *   or not as its migrations made it
 * - `refused`: a no of any other kind
 */
export type FaultKind = 'away' | 'busy' | 'slow' | 'data' | 'unsuitable' | 'denied' | 'missing' | 'altered' | 'refused';

export const lockNotAvailable = '55P03';

const kinds: Readonly<Record<string, FaultKind>> = {
  '08': 'away',
  '53': 'away',
  '57': 'away',
  '58': 'away',
  XX: 'away',
  '25P03': 'away',
  '25P04': 'away',
  '57014': 'slow',
  '40': 'busy',
  '55': 'busy', // lockNotAvailable among them
  '26': 'busy',
  '25': 'busy',
  // Data exceptions, constraint violations, limits of a row or an index entry.
  '22': 'data',
  '23': 'data',
  '54': 'data',
  '3D000': 'unsuitable',
  '25006': 'unsuitable',
  '0A000': 'unsuitable',
  '28': 'denied',
  '42501': 'denied',
  '3F000': 'missing',
  '42P01': 'missing',
  // A column, function or constraint that is not there, one that is too many, another type.
  '42': 'altered',
  '428C9': 'altered',
  '23502': 'altered', // a column of ours that must not be null: every event would be refused
};

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

/** What comes from the socket or the client is `away`, whatever it is, unless the client's clock has ended a statement. */
export function kindOf(error: unknown): FaultKind {
  if (!isServerError(error)) return error instanceof Error && error.message === 'Query read timeout' ? 'slow' : 'away';
  const code = codeOf(error);
  return own(kinds, code) ?? own(kinds, code.slice(0, 2)) ?? 'refused';
}

/** The same, of what we have put into our words. */
const kindWithin = (error: unknown): FaultKind | undefined =>
  !(error instanceof TrunklineError) ? kindOf(error) : error.cause === undefined ? undefined : kindWithin(error.cause);

/** Whether a statement has taken longer than it may: by the server's clock or the client's. */
export const tookTooLong = (error: unknown): boolean => kindWithin(error) === 'slow';

/** Whether the server itself has ended a statement for its length, or for what stood in its way: it answers. */
export function isHeldUp(error: unknown): boolean {
  if (error instanceof TrunklineError) return error.cause !== undefined && isHeldUp(error.cause);
  return isServerError(error) && ['slow', 'busy'].includes(kindOf(error));
}

/** Whether the same may go well later, with nothing changed here: it says nothing of what the server was given. */
export function mayPass(error: unknown): boolean {
  const kind = kindWithin(error);
  return kind === 'away' || kind === 'busy' || kind === 'slow';
}
