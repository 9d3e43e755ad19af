// A runtime that stands still in the middle of a flush (stopped, a suspended machine) keeps its locks: no time-out of the
// server ends a COPY whose client says nothing. Who waits for such a lock ends that connection. Nothing is lost: the
// transaction is undone, and its log writes it again, or finds itself refused.
import type pg from 'pg';
import { endStatement } from './frozen-sql.ts';
import { codeOf, lockNotAvailable } from './sqlstate.ts';

export const flushName = 'trunkline flush';

/** A lock was waited for in vain. */
export const isLockTimeout = (error: unknown): boolean => codeOf(error) === lockNotAvailable;

/**
 * End flushes of this schema whose server has waited for their client for longer than {@link import('./frozen-sql.ts').patienceMs}, inside a
 * transaction. Without the right to (another role's), they stay. Returns how many were ended.
 */
export async function endFrozenFlushes(client: pg.ClientBase, schema: string): Promise<number> {
  return endStatement(schema).count(client, { name: flushName });
}
