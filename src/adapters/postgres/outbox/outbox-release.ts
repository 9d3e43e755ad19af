// Rows of the outbox that a log will never settle, because its machine is lost permanently: what it had passed on to the store
// goes, what it had only claimed waits again for another log.
import pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { durable } from '../session/session-sql.ts';

export interface Released {
  /** Stored through that log; its stream and sinks may not have passed them. */
  readonly removed: number;
  /** Claimed for it, and not stored through it. */
  readonly waiting: number;
}

const quietSeconds = 60;

/** In one statement. @throws InvalidOptions if the store knows no such log, or it has been flushed within the last minute */
export async function releaseOutbox(client: pg.ClientBase, schema: string, logId: string): Promise<Released> {
  const name = pg.escapeIdentifier(schema);
  const { rows } = await client.query(
    `with running as materialized (
       select log_id from ${name}.flush_checkpoints
       where log_id = $1 and updated_at > pg_catalog.now() - interval '${quietSeconds} seconds'
       union all
       select log_id from ${name}.outbox_relay
       where log_id = $1 and seen_at > pg_catalog.now() - interval '${quietSeconds} seconds'
     ), removed as (
       delete from ${name}.outbox where log_id = $1 and position is not null and not exists (select from running)
       returning 1
     ), again as (
       update ${name}.outbox set log_id = null, batch = null
       where log_id = $1 and position is null and refused is null and not exists (select from running) returning 1
     ) select exists (select from running) as "isRunning", exists (
         select from ${name}.flush_checkpoints where log_id = $1
         union all select from ${name}.outbox where log_id = $1
         union all select from ${name}.outbox_relay where log_id = $1) as "isKnown", (select pg_catalog.count(*)::float8 from removed) as removed,
         (select pg_catalog.count(*)::float8 from again) as waiting, ${durable}`,
    [logId],
  );
  const { isRunning, isKnown, removed, waiting } = rows[0];
  if (!isKnown) {
    const reason = `this store knows no log '${logId}'; trunkline status shows those that it knows`;
    throw new TrunklineError('InvalidOptions', { option: 'log', reason });
  }
  if (!isRunning) return { removed, waiting };
  const reason = `a runtime has flushed log '${logId}' within the last ${quietSeconds} seconds; only a log that is lost is released`;
  throw new TrunklineError('InvalidOptions', { option: 'log', reason });
}
