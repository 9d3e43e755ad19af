// A runtime that stands still in the middle of a flush (stopped, a suspended machine) keeps its locks: no time-out of the
// server ends a COPY whose client says nothing. Who waits for such a lock ends that connection. Nothing is lost: the
// transaction is undone, and its log writes it again, or finds itself refused.
import type pg from 'pg';
import { codeOf, lockNotAvailable } from './sqlstate.ts';

/** How long to wait for another flush's lock before looking whether it stands still, milliseconds. */
export const patienceMs = 1000;

export const flushName = 'trunkline flush';

/** A lock was waited for in vain. */
export const isLockTimeout = (error: unknown): boolean => codeOf(error) === lockNotAvailable;

/**
 * End flushes of this schema whose server has waited for their client for longer than {@link patienceMs}, inside a
 * transaction. Without the right to (another role's), they stay. Returns how many were ended.
 */
export async function endFrozenFlushes(client: pg.ClientBase, schema: string): Promise<number> {
  const { rows } = await client.query(
    `select pg_catalog.pg_terminate_backend(a.pid) from pg_catalog.pg_stat_activity a
     where a.datname = pg_catalog.current_database() and a.application_name = $2 and a.pid <> pg_catalog.pg_backend_pid()
       and pg_catalog.pg_has_role(current_user, a.usesysid, 'usage')
       and a.xact_start is not null and a.wait_event_type = 'Client'
       and a.state_change < pg_catalog.clock_timestamp() - interval '${patienceMs} milliseconds'
       and exists (select from pg_catalog.pg_locks l where l.pid = a.pid and l.granted and l.relation = pg_catalog.to_regclass($1))`,
    [`${schema}.aggregates`, flushName],
  );
  return rows.length;
}
