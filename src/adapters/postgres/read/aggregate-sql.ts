// What a shard asks of one aggregate that it loads, and how it takes one over. `schema`: quoted.
import pg from 'pg';
import { nullable, number, object, text } from '../../../base/json.ts';
import { type TimeBounds, timeBounds, timeBoundsShape, withinTimes } from '../rows/events-sql.ts';
import { type Nothing, noColumns, Statement } from '../session/statement.ts';

/** The columns of a snapshot are null where there is none. */
export interface HeadRow extends TimeBounds {
  version: number;
  /** null: transactions of the user's own it. */
  log_id: string | null;
  epoch: string;
  snapshot_version: number | null;
  fingerprint: string | null;
  state: string | null;
}

interface Key {
  type: string;
  id: string;
}

export const headStatement = (schema: string): Statement<Key, HeadRow> =>
  new Statement(
    'the head of an aggregate',
    `select head.version, log_id, epoch::text as epoch, snapshot.version as snapshot_version, fingerprint,
       state::text as state, ${timeBounds}
     from ${schema}.aggregates head left join ${schema}.snapshots snapshot using (aggregate_type, aggregate_id)
     where aggregate_type = $1 and aggregate_id = $2`,
    ['type', 'id'],
    object<HeadRow>({
      version: number,
      log_id: nullable(text),
      epoch: text,
      snapshot_version: nullable(number),
      fingerprint: nullable(text),
      state: nullable(text),
      ...timeBoundsShape,
    }),
  );

/** Changes no row whose epoch another log has changed meanwhile. Within a transaction that is durable. */
export const claimStatement = (
  schema: string,
): Statement<Key & { logId: string; epoch: string; position: number }, Nothing> =>
  new Statement(
    'a head that is taken over',
    `update ${schema}.aggregates
     set log_id = $3, epoch = epoch + 1, position = $5, updated_at = pg_catalog.now()
     where aggregate_type = $1 and aggregate_id = $2 and epoch = $4`,
    ['type', 'id', 'logId', 'epoch', 'position'],
    noColumns,
  );

/** From where its events behind version `after` come; only the months of its events are looked into, and planned for. */
export function behindVersion(schema: string, { type, id }: Key, after: number, head: HeadRow): string {
  const { escapeLiteral } = pg;
  return `${schema}.domain_events where aggregate_type = ${escapeLiteral(type)} and aggregate_id = ${escapeLiteral(id)}
    and version > ${after} and version <= ${head.version}${withinTimes(head)}`;
}

/** For COPY, in the order of their versions. */
export const byVersion = (from: string, most: number): string => `${from} order by version limit ${most}`;

export const countStatement = (from: string): Statement<Nothing, { count: number }> =>
  new Statement(
    'the count of events',
    `select pg_catalog.count(*)::float8 as count from ${from}`,
    [],
    object({ count: number }),
  );
