// The statement that releases the outbox of a log that is lost. `schema`: quoted.
import { flag, number, object } from '../../../base/json.ts';
import { durable } from '../session/session-sql.ts';
import { Statement } from '../session/statement.ts';

interface Given {
  logId: string;
  /** For so long it must not have been flushed, nor have been the relay. */
  quietSeconds: number;
}

interface Row {
  isRunning: boolean;
  isKnown: boolean;
  removed: number;
  waiting: number;
}

/** Nothing is released of a log that runs. */
export const releaseStatement = (schema: string): Statement<Given, Row> =>
  new Statement(
    'the outbox of a log',
    `with running as materialized (
       select log_id from ${schema}.flush_checkpoints
       where log_id = $1 and updated_at > pg_catalog.now() - pg_catalog.make_interval(secs => $2)
       union all
       select log_id from ${schema}.outbox_relay
       where log_id = $1 and seen_at > pg_catalog.now() - pg_catalog.make_interval(secs => $2)
     ), removed as (
       delete from ${schema}.outbox where log_id = $1 and position is not null and not exists (select from running)
       returning 1
     ), again as (
       update ${schema}.outbox set log_id = null, batch = null
       where log_id = $1 and position is null and refused is null and not exists (select from running) returning 1
     ) select exists (select from running) as "isRunning", exists (
         select from ${schema}.flush_checkpoints where log_id = $1
         union all select from ${schema}.outbox where log_id = $1
         union all select from ${schema}.outbox_relay where log_id = $1) as "isKnown", (select pg_catalog.count(*)::float8 from removed) as removed,
         (select pg_catalog.count(*)::float8 from again) as waiting, ${durable}`,
    ['logId', 'quietSeconds'],
    object<Row>({ isRunning: flag, isKnown: flag, removed: number, waiting: number }),
  );
