// Statements on the table `log_readers`, on connections of their own. `schema`: quoted.
import { number, object, text } from '../../../base/json.ts';
import { lockReadersSql } from '../session/locks-sql.ts';
import { type Nothing, noColumns, Statement } from '../session/statement.ts';

interface OfLog {
  logId: string;
}

interface Reader {
  name: string;
  position: number;
}

export const readersStatement = (schema: string): Statement<OfLog, Reader> =>
  new Statement(
    'a reader of the log',
    `select name, position::float8 as position from ${schema}.log_readers where log_id = $1`,
    ['logId'],
    object<Reader>({ name: text, position: number }),
  );

/** Locks all of the log's. Within a transaction, as the next. */
export const lockReadersStatement = (schema: string): Statement<OfLog, Nothing> =>
  new Statement('a reader of the log', lockReadersSql(schema), ['logId'], noColumns);

/** `names`: those that go. */
export const removeReadersStatement = (schema: string): Statement<OfLog & { names: readonly string[] }, Nothing> =>
  new Statement(
    'a reader of the log',
    `delete from ${schema}.log_readers where log_id = $1 and name = any($2::text[])`,
    ['logId', 'names'],
    noColumns,
  );

/** `names`: those that stay. */
export const keepReadersStatement = (schema: string): Statement<OfLog & { names: readonly string[] }, Nothing> =>
  new Statement(
    'a reader of the log',
    `delete from ${schema}.log_readers where log_id = $1 and name <> all ($2::text[])`,
    ['logId', 'names'],
    noColumns,
  );

interface Moved extends OfLog {
  names: readonly string[];
  positions: readonly number[];
}

export const moveReadersStatement = (schema: string): Statement<Moved, Nothing> =>
  new Statement(
    'a reader of the log',
    `insert into ${schema}.log_readers as kept (log_id, name, position)
     select $1, name, position from unnest($2::text[], $3::bigint[]) as reader (name, position) order by name collate "C"
     on conflict (log_id, name) do update set position = excluded.position, updated_at = pg_catalog.now()
       where kept.position <> excluded.position`,
    ['logId', 'names', 'positions'],
    noColumns,
  );
