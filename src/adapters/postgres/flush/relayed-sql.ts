// Statements on events that came by the outbox, and their rows there, within the transaction of a flush. `schema`: quoted.
import { number, object } from '../../../base/json.ts';
import { withinTimes } from '../rows/events-sql.ts';
import { type Nothing, noColumns, Statement } from '../session/statement.ts';

interface Relayed {
  ids: readonly string[];
  times: readonly string[];
  aggregateTypes: readonly string[];
  aggregateIds: readonly string[];
  versions: readonly number[];
  positions: readonly number[];
  logId: string;
}

/**
 * Gives the positions of those that are there: by all that the log says of them, since an id alone names none. It has milliseconds; what
 * earlier releases let in may be finer. `first` and `last`: bounds of their times, milliseconds.
 */
export const noteStatement = (schema: string, first: number, last: number): Statement<Relayed, { position: number }> =>
  new Statement(
    'an event of the outbox',
    `update ${schema}.domain_events e set position = r.position, log_id = $7
     from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::int4[], $6::bigint[])
       as r (id, occurred_at, aggregate_type, aggregate_id, version, position)
     where e.id = r.id and e.occurred_at >= r.occurred_at and e.occurred_at < r.occurred_at + interval '1 millisecond' and e.aggregate_type = r.aggregate_type
       and e.aggregate_id = r.aggregate_id and e.version = r.version${bounds(first, last)} returning r.position::float8 as position`,
    ['ids', 'times', 'aggregateTypes', 'aggregateIds', 'versions', 'positions', 'logId'],
    object({ position: number }),
  );

const bounds = (first: number, last: number): string =>
  withinTimes({ first_at: first, last_at: last + 1 }).replaceAll('occurred_at', 'e.occurred_at');

interface Settled {
  logId: string;
  batch: number;
  sequence: number;
  position: number;
}

/** Rows up to a place. `isLastReader`: nothing but the store reads the log, so they go. */
export const settleStatement = (schema: string, isLastReader: boolean): Statement<Settled, Nothing> => {
  const rows = `log_id = $1 and batch is not null and (batch, sequence) <= ($2::bigint, $3::bigint)
    and position is null and refused is null and $4::bigint > 0`;
  return new Statement(
    'a row of the outbox',
    isLastReader
      ? `delete from ${schema}.outbox where ${rows}`
      : `update ${schema}.outbox set position = $4 where ${rows}`,
    ['logId', 'batch', 'sequence', 'position'],
    noColumns,
  );
};
