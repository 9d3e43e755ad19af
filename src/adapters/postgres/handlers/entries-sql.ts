// Statements on the handlers' tables of one log. `schema`: quoted. Keys travel as bytes, values as the text of their JSON, which is
// kept letter for letter.
//
// Handlers' own statements run in some of these transactions, by the search_path of the role: so each operator and type of ours is
// named with its schema (own-path.ts).
import pg from 'pg';
import { bytes, nullable, number, object, text } from '../../../base/json.ts';
import { checkpointTable } from '../../../handler-state/checkpoint.ts';
import type { Change } from '../../../handler-state/handler-state-store.ts';
import { type Savepoint, savepoint } from '../session/savepoint-sql.ts';
import { beginSharedSql, beginSql } from '../session/session-sql.ts';
import { type Nothing, noColumns, Statement } from '../session/statement.ts';

interface OfTable {
  logId: string;
  table: string;
}

/** Rows of a table as `key` and `json`, of $1 (log) and $2 (table). */
const rowsOf = (schema: string, table: string): string =>
  table === checkpointTable
    ? `(select pg_catalog.convert_to(handler_name, 'UTF8') as key,
        pg_catalog.json_strip_nulls(pg_catalog.json_build_object('low', position, 'done', completed, 'lastId', last_processed_id,
          'lastAt', last_processed_at, 'updatedAt', updated_at, 'paused', paused))::pg_catalog.text as json
      from ${schema}.event_handler_positions
      where log_id operator(pg_catalog.=) $1 and $2::pg_catalog.text operator(pg_catalog.=) '${checkpointTable}')`
    : `(select key, value::pg_catalog.text as json from ${schema}.handler_entries
      where log_id operator(pg_catalog.=) $1 and table_name operator(pg_catalog.=) $2)`;

export const entryStatement = (schema: string, table: string): Statement<OfTable & { key: Buffer }, { json: string }> =>
  new Statement(
    'an entry of a handler',
    `select json from ${rowsOf(schema, table)} e where key operator(pg_catalog.=) $3`,
    ['logId', 'table', 'key'],
    object({ json: text }),
  );

interface Range extends OfTable {
  first: Buffer;
  /** Both: a bound that is not of them; null: none. */
  end: Buffer | null;
  behindPrefix: Buffer | null;
  /** null: all. */
  most: number | null;
}

interface EntryRow {
  key: Buffer;
  json: string;
}

/** In the order of their keys. */
export const rangeStatement = (schema: string, table: string): Statement<Range, EntryRow> =>
  new Statement(
    'an entry of a handler',
    `select key, json from ${rowsOf(schema, table)} e
      where key operator(pg_catalog.>=) $3 and ($4::pg_catalog.bytea is null or key operator(pg_catalog.<) $4)
        and ($5::pg_catalog.bytea is null or key operator(pg_catalog.<) $5) order by key limit $6`,
    ['logId', 'table', 'first', 'end', 'behindPrefix', 'most'],
    object<EntryRow>({ key: bytes, json: text }),
  );

/** Passes when no earlier commit is in progress. `lock`: held by each from its beginning to its end. */
export const passLockSql = (lock: string): string => `${beginSql()}; ${lock}; commit`;

/** Around changes that the server may refuse. */
export const part: Savepoint = savepoint('part');

export const beginCommitSql = (lock: string, ...locals: string[]): string =>
  `${beginSql(...locals)}; ${lock}; ${part.begin}`;

/** A transaction that statements of the user's share, too. */
export const beginSharedWithSql = (
  schema: string,
  logId: string,
  entry: Change | undefined,
  ...locals: string[]
): string => {
  const begin = beginSharedSql(...locals);
  if (entry === undefined) return begin;
  const { table, key, json } = entry;
  const values = [logId, table].map(pg.escapeLiteral).join();
  return `${begin}; insert into ${schema}.handler_entries (log_id, table_name, key, value)
      values (${values}, '\\x${Buffer.from(key).toString('hex')}', ${pg.escapeLiteral(json!)}) on conflict do nothing`;
};

/** Around as many entries as one statement takes. */
export const onePage: Savepoint = savepoint('page');

/** Column by column. */
interface Keys {
  logId: string;
  tables: readonly string[];
  keys: readonly Buffer[];
}

interface Entries extends Keys {
  jsons: readonly (string | undefined)[];
}

export const putStatement = (schema: string): Statement<Entries, Nothing> =>
  new Statement(
    'an entry of a handler',
    `insert into ${schema}.handler_entries (log_id, table_name, key, value)
     select $1, t, k, v::pg_catalog.json
     from unnest($2::pg_catalog.text[], $3::pg_catalog.bytea[], $4::pg_catalog.text[]) as r (t, k, v)
     on conflict (log_id, table_name, key) do update set value = excluded.value`,
    ['logId', 'tables', 'keys', 'jsons'],
    noColumns,
  );

export const removeStatement = (schema: string): Statement<Keys, Nothing> =>
  new Statement(
    'an entry of a handler',
    `delete from ${schema}.handler_entries e using unnest($2::pg_catalog.text[], $3::pg_catalog.bytea[]) as r (t, k)
     where e.log_id operator(pg_catalog.=) $1 and e.table_name operator(pg_catalog.=) r.t and e.key operator(pg_catalog.=) r.k`,
    ['logId', 'tables', 'keys'],
    noColumns,
  );

export const forgetStatement = (schema: string): Statement<{ logId: string; handlers: readonly string[] }, Nothing> =>
  new Statement(
    'the checkpoint of a handler',
    `delete from ${schema}.event_handler_positions
     where log_id operator(pg_catalog.=) $1 and handler_name operator(pg_catalog.=) any($2)`,
    ['logId', 'handlers'],
    noColumns,
  );

interface Moved {
  logId: string;
  /** A list of {@link CheckpointRow}. */
  json: string;
}

/** Of a checkpoint, by the names of the statement's columns. */
export interface CheckpointRow {
  readonly handler_name: string;
  readonly position: number;
  readonly completed: unknown;
  readonly paused: boolean;
  /** undefined, both: what is there stays. */
  readonly last_id: string | undefined;
  readonly last_at: string | undefined;
  readonly updated_at: string | undefined;
}

interface Before {
  name: string;
  /** Its position before; null: it had none. */
  found: number | null;
}

export const moveStatement = (schema: string): Statement<Moved, Before> =>
  new Statement(
    'the checkpoint of a handler',
    `insert into ${schema}.event_handler_positions as p
         (log_id, handler_name, position, completed, paused, last_processed_id, last_processed_at, updated_at)
       select $1, r.* from pg_catalog.json_to_recordset($2) as r (handler_name pg_catalog.text, position bigint,
         completed bigint[], paused boolean, last_id pg_catalog.uuid, last_at pg_catalog.timestamptz, updated_at pg_catalog.timestamptz)
       on conflict (log_id, handler_name) do update set position = excluded.position, completed = excluded.completed,
         paused = excluded.paused, updated_at = excluded.updated_at,
         last_processed_id = coalesce(excluded.last_processed_id, p.last_processed_id),
         last_processed_at = coalesce(excluded.last_processed_at, p.last_processed_at)
       returning handler_name as name, (select b.position::pg_catalog.float8 from ${schema}.event_handler_positions b
         where b.log_id operator(pg_catalog.=) p.log_id and b.handler_name operator(pg_catalog.=) p.handler_name) as found`,
    ['logId', 'json'],
    object<Before>({ name: text, found: nullable(number) }),
  );
