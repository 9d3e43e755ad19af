// What archives and drops of months read and change. `schema`: quoted. `table`: a partition, with its schema.
import pg from 'pg';
import { nullable, number, object, text } from '../../../base/json.ts';
import { type Nothing, Statement } from '../session/statement.ts';
import type { Key } from './archive-file.ts';

interface Count {
  count: number;
}

export const databaseStatement: Statement<Nothing, { database: string }> = new Statement(
  'the database',
  'select pg_catalog.current_database()::text as database',
  [],
  object<{ database: string }>({ database: text }),
);

/** A service may keep it to itself. */
export const systemStatement: Statement<Nothing, { system: string }> = new Statement(
  'the identifier of the server',
  'select system_identifier::text as system from pg_catalog.pg_control_system()',
  [],
  object<{ system: string }>({ system: text }),
);

/** Asks nothing: whether the connection is there. */
export const presence = 'select';

/** Rows behind a key, as JSON texts, a line each. Text, not CSV: JSON text has no tabs or newlines; only its backslashes are doubled. */
export const copyRows = (table: string, { sequence, id }: Key, most: number): string =>
  `copy (select pg_catalog.to_jsonb(e) from ${table} e
     where (sequence, id) > (${sequence}, ${pg.escapeLiteral(id)}::pg_catalog.uuid) order by sequence, id limit ${most}) to stdout`;

/** Rows of the outbox whose events are in the partition: an event that is gone can go into no log. */
export const deleteOutboxRows = (schema: string, table: string): string =>
  `delete from ${schema}.outbox o using ${table} e where o.id = e.id and o.occurred_at = e.occurred_at`;

export const dropPartition = (table: string): string => `drop table ${table}`;

interface Stamp {
  count: number;
  /** null: no row is left. */
  last: string | null;
  sum: string;
}

/** Which versions of rows there are behind a number, without what is in them. Rows of one number are in one page. */
export const stampStatement = (table: string): Statement<{ after: string; most: number }, Stamp> =>
  new Statement(
    'the stamp of a month',
    `select pg_catalog.count(*)::float8 as count, pg_catalog.max(sequence)::text as last,
       coalesce(pg_catalog.sum(pg_catalog.hashtextextended(e.ctid::text || ' ' || e.xmin::text, 0)), 0)::text as sum
     from (select ctid, xmin, sequence from ${table} where sequence > $1 order by sequence fetch first ($2) rows with ties) e`,
    ['after', 'most'],
    object<Stamp>({ count: number, last: nullable(text), sum: text }),
  );

/** Events of the partition that have not come into a log yet. */
export const waitingStatement = (schema: string, table: string): Statement<Nothing, Count> =>
  new Statement(
    'the count of waiting events',
    `select pg_catalog.count(*)::float8 as count from ${table} e
     join ${schema}.outbox o on o.id = e.id and o.occurred_at = e.occurred_at`,
    [],
    object<Count>({ count: number }),
  );

interface ReaderBehind {
  name: string;
  log_id: string;
  position: number;
  last: number;
}

/** The reader of the history of its log that lacks most of the partition's events. No row: none lacks any. */
export const readerBehindStatement = (schema: string, table: string): Statement<Nothing, ReaderBehind> =>
  new Statement(
    'a reader of the history',
    `select reader.name, reader.log_id, reader.position::float8 as position, last.position::float8 as last
     from (select handler_name as name, log_id, position from ${schema}.event_handler_positions
           union all select name, log_id, position from ${schema}.log_readers) reader
     join (select log_id, pg_catalog.max(position) as position from ${table} where log_id is not null group by log_id) last
       on last.log_id = reader.log_id and last.position > reader.position
     order by last.position - reader.position desc limit 1`,
    [],
    object<ReaderBehind>({ name: text, log_id: text, position: number, last: number }),
  );
