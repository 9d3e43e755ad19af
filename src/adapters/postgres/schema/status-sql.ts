// Statements on how far a store is. `schema`: quoted.
import { date, nullable, number, object, text } from '../../../base/json.ts';
import { type Nothing, Statement } from '../session/statement.ts';

interface Checkpoint {
  logId: string;
  position: number;
  updatedAt: Date;
}

/** How far each log has been flushed, the latest first. */
export const checkpointsStatement = (schema: string): Statement<Nothing, Checkpoint> =>
  new Statement(
    'the checkpoint of a log',
    `select log_id as "logId", position::float8 as position, updated_at as "updatedAt"
     from ${schema}.flush_checkpoints order by updated_at desc`,
    [],
    object<Checkpoint>({ logId: text, position: number, updatedAt: date }),
  );

export const quarantineCountStatement = (schema: string): Statement<Nothing, { count: number }> =>
  new Statement(
    'the count of quarantined events',
    `select pg_catalog.count(*)::float8 as count from ${schema}.quarantined_events`,
    [],
    object({ count: number }),
  );

interface Claimed {
  /** null: no log has them yet. */
  logId: string | null;
  events: number;
  /** null: none has a finite time. */
  oldestMs: number | null;
}

/** Rows of the outbox by the log that has claimed them. */
export const claimsStatement = (schema: string): Statement<Nothing, Claimed> =>
  new Statement(
    'the rows of the outbox',
    `select log_id as "logId", pg_catalog.count(*)::float8 as events,
       pg_catalog.round(extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.min(occurred_at) filter (where pg_catalog.isfinite(occurred_at))) * 1000)::float8 as "oldestMs"
     from ${schema}.outbox group by log_id order by log_id`,
    [],
    object<Claimed>({ logId: nullable(text), events: number, oldestMs: nullable(number) }),
  );
