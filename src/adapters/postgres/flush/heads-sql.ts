// Statements that move the heads of aggregates, within the transaction of a flush. `schema`: quoted.
//
// Invariant: whatever locks heads does so in one order, type and id by their bytes.
import { flag, nullable, number, object, text } from '../../../base/json.ts';
import { type Savepoint, savepoint } from '../session/savepoint-sql.ts';
import { Statement } from '../session/statement.ts';

/** A run of one aggregate's events each, column by column. */
export interface Runs {
  types: readonly string[];
  ids: readonly string[];
  /** The version before. */
  before: readonly number[];
  versions: readonly number[];
  positions: readonly number[];
  /** Bounds of their times, milliseconds. */
  firstAt: readonly number[];
  lastAt: readonly number[];
  logId: string;
}

const names = ['types', 'ids', 'before', 'versions', 'positions', 'firstAt', 'lastAt', 'logId'] as const;

const insert = (schema: string): string => `insert into ${schema}.aggregates as head
    (aggregate_type, aggregate_id, version, previous_version, log_id, position, first_occurred_at, last_occurred_at)
  select type, id, version, previous, $8, position, pg_catalog.to_timestamp(first_at / 1000), pg_catalog.to_timestamp(last_at / 1000)
  from unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::bigint[], $6::float8[], $7::float8[])
    as run (type, id, previous, version, position, first_at, last_at)
  order by type collate "C", id collate "C"
  on conflict (aggregate_type, aggregate_id) do update set
    version = excluded.version, previous_version = excluded.previous_version, log_id = excluded.log_id,
    position = excluded.position,
    first_occurred_at = least(head.first_occurred_at, excluded.first_occurred_at),
    last_occurred_at = greatest(head.last_occurred_at, excluded.last_occurred_at),
    updated_at = pg_catalog.now()`;

interface Moved {
  count: number;
  /** One of them follows a version, and there was no head. */
  has_orphan: boolean;
}

/** Moves those that go on from where their head is. */
export const moveStatement = (schema: string): Statement<Runs, Moved> =>
  // xmax is 0 in a row that was inserted: there was no head, so the version before must be 0.
  new Statement(
    'the count of heads',
    `with moved as (${insert(schema)}
       where head.log_id = excluded.log_id and head.version = excluded.previous_version
         and head.position < excluded.position
       returning previous_version > 0 and xmax = 0 as is_orphan)
     select pg_catalog.count(*)::float8 as count, coalesce(pg_catalog.bool_or(is_orphan), false) as has_orphan from moved`,
    names,
    object<Moved>({ count: number, has_orphan: flag }),
  );

export interface HeadRow {
  aggregate_type: string;
  aggregate_id: string;
  version: number;
  /** null: transactions of the user's own it. */
  log_id: string | null;
  epoch: string;
}

export const lockStatement = (
  schema: string,
): Statement<{ types: readonly string[]; ids: readonly string[] }, HeadRow> =>
  new Statement(
    'the head of an aggregate',
    `select aggregate_type, aggregate_id, version, log_id, epoch::text as epoch
     from ${schema}.aggregates where (aggregate_type, aggregate_id) in (select * from unnest($1::text[], $2::text[]))
     order by aggregate_type collate "C", aggregate_id collate "C" for update`,
    ['types', 'ids'],
    object<HeadRow>({ aggregate_type: text, aggregate_id: text, version: number, log_id: nullable(text), epoch: text }),
  );

/** Moves heads that {@link lockStatement} has locked. */
export const overwriteStatement = (schema: string): Statement<Runs, { count: number }> =>
  new Statement(
    'the count of heads',
    `with moved as (${insert(schema)}
       where head.log_id = excluded.log_id returning 1) select pg_catalog.count(*)::float8 as count from moved`,
    names,
    object({ count: number }),
  );

export const headsSavepoint: Savepoint = savepoint('heads');
