// Statements of a flush's transaction that are no other file's. `schema`: quoted.
import pg from 'pg';
import { number, object } from '../../../base/json.ts';
import { eventColumns } from '../rows/rows.ts';
import { type Savepoint, savepoint } from '../session/savepoint-sql.ts';
import { beginSql } from '../session/session-sql.ts';
import { type Nothing, noColumns, Statement } from '../session/statement.ts';
import { headsSavepoint } from './heads-sql.ts';

interface Start {
  logId: string;
  from: number;
  to: number;
  lockWaitMs: number;
}

/** The checkpoint first: its row is the lock on the log. The one UPDATE finds no row where it is not at `from`. */
export function beginFlush(schema: string, { logId, from, to, lockWaitMs }: Start): string {
  return [
    beginSql(`lock_timeout = ${lockWaitMs}`),
    `update ${schema}.flush_checkpoints set position = ${to}, updated_at = pg_catalog.now()
       where log_id = ${pg.escapeLiteral(logId)} and position = ${from}`,
    headsSavepoint.begin,
  ].join('; ');
}

export const checkpointStatement = (schema: string): Statement<{ logId: string }, { position: number }> =>
  new Statement(
    'the checkpoint of the flush',
    `select position::float8 as position from ${schema}.flush_checkpoints where log_id = $1`,
    ['logId'],
    object({ position: number }),
  );

/** Column by column. */
interface Snapshots {
  types: readonly string[];
  ids: readonly string[];
  versions: readonly number[];
  fingerprints: readonly string[];
  states: readonly string[];
  logId: string;
}

/** Distinct: the newest of an aggregate; and only of aggregates that are this log's. */
export const snapshotsStatement = (schema: string): Statement<Snapshots, Nothing> =>
  new Statement(
    'a snapshot',
    `insert into ${schema}.snapshots as kept (aggregate_type, aggregate_id, version, fingerprint, state)
     select distinct on (type, id) type, id, taken.version, fingerprint, state
     from unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::json[]) as taken (type, id, version, fingerprint, state)
     join ${schema}.aggregates head
       on head.aggregate_type = type and head.aggregate_id = id and head.log_id = $6
     order by type, id, taken.version desc
     on conflict (aggregate_type, aggregate_id) do update set
       version = excluded.version, fingerprint = excluded.fingerprint, state = excluded.state, taken_at = pg_catalog.now()
       where kept.version < excluded.version`,
    ['types', 'ids', 'versions', 'fingerprints', 'states', 'logId'],
    noColumns,
  );

export const copyEventsSql = (schema: string): string =>
  `copy ${schema}.domain_events (${eventColumns}) from stdin (format binary)`;

/** Around the events that are tried together. */
export const part: Savepoint = savepoint('part');
