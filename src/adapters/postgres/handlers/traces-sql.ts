// What a log has left in the database. `schema`: quoted.
import { nullable, number, object, text } from '../../../base/json.ts';
import { Statement } from '../session/statement.ts';

/** How long nothing has been heard of the log, milliseconds, by the server's clock; null: it is not known here. */
export const silenceStatement = (schema: string): Statement<{ logId: string }, { ms: number | null }> =>
  new Statement(
    'the silence of a log',
    `select pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.max(at)) * 1000)::float8 as ms from (
       select updated_at as at from ${schema}.flush_checkpoints where log_id = $1
       union all select updated_at from ${schema}.event_handler_positions where log_id = $1
       union all select updated_at from ${schema}.log_readers where log_id = $1
       union all select seen_at from ${schema}.outbox_relay where log_id = $1) as seen`,
    ['logId'],
    object({ ms: nullable(number) }),
  );

/** Tables whose comment begins with a mark; quoted, with their schemas. */
export const markedStatement: Statement<{ mark: string }, { name: string }> = new Statement(
  'a table that is built',
  `select pg_catalog.format('%I.%I', n.nspname, c.relname) as name from pg_catalog.pg_class c
   join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p') and pg_catalog.starts_with(pg_catalog.obj_description(c.oid, 'pg_class'), $1) order by 1`,
  ['mark'],
  object({ name: text }),
);

/** `table`: quoted. */
export const dropSql = (table: string): string => `drop table ${table}`;
