// What a tail asks: of the server, and of a window's rows. COPY takes no parameters, so values are literals, escaped by the client.
// `schema`: quoted.
import pg from 'pg';
import { flag, nullable, object, text } from '../../../base/json.ts';
import { type Nothing, Statement } from '../session/statement.ts';
import { snapshotOf, type TailToken, type Window } from './tail-token.ts';

const { escapeLiteral } = pg;

export const nowStatement: Statement<Nothing, { now: string }> = new Statement(
  'the current snapshot',
  'select pg_catalog.pg_current_snapshot()::text as now',
  [],
  object({ now: text }),
);

/** Whether the server can tell which transactions are open, and has begun all whose events are there. */
export const serverStatement = (schema: string): Statement<Nothing, { is_standby: boolean; is_restored: boolean }> =>
  new Statement(
    "the server's state",
    `select pg_catalog.pg_is_in_recovery() as is_standby, exists (
       select from ${schema}.domain_events
       where transaction_id >= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())) as is_restored`,
    [],
    object({ is_standby: flag, is_restored: flag }),
  );

/** The least sequence of a window's rows that `where` takes; null: there is none. */
export const leastStatement = (
  schema: string,
  window: Window,
  where: string,
): Statement<Nothing, { least: string | null }> =>
  new Statement(
    'the first event of a window',
    `select pg_catalog.min(sequence)::text as least from ${schema}.domain_events where ${where} and ${visible(window.to)}`,
    [],
    object({ least: nullable(text) }),
  );

/** All rows of a window in the order of their sequence and id, `most` and one more: by their transactions. */
export function wholeWindowSql(schema: string, { from, to }: Window, most: number): string {
  const { xmax, xip } = snapshotOf(from);
  const open = escapeLiteral(`{${xip.join()}}`);
  const rows = [between(xmax, snapshotOf(to).xmax), `transaction_id = any(${open}::xid8[])`].map(
    (where) => `select * from ${schema}.domain_events where ${where} and ${visible(to)}`,
  );
  return `(select * from (${rows.join(' union all ')}) each limit ${most + 1}) w order by sequence, id`;
}

/** Behind all ids. */
const pastId = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/**
 * Rows of a window behind a row, in the order of sequence and id. By function calls alone, which no index serves: so that the
 * planner takes the sequence's, and never sorts the window.
 */
export const behindSql = (
  schema: string,
  { from, to }: Window,
  { sequence, id }: Pick<TailToken, 'sequence' | 'id'>,
  size: number,
): string =>
  `${schema}.domain_events where not ${visible(from)} and ${visible(to)}
    and (sequence, id) > (${sequence}, ${escapeLiteral(id || pastId)}::pg_catalog.uuid)
    order by sequence, id limit ${size}`;

/** Conditions on a row. */
export const ofTransaction = (id: string): string => `transaction_id = ${escapeLiteral(id)}::xid8`;

export const between = (first: bigint, end: bigint): string =>
  `transaction_id >= '${first}'::xid8 and transaction_id < '${end}'::xid8`;

const visible = (snapshot: string): string =>
  `pg_catalog.pg_visible_in_snapshot(transaction_id, ${escapeLiteral(snapshot)}::pg_snapshot)`;
