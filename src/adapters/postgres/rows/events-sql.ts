// Which rows of domain_events are read. COPY takes no parameters, so every value is written as a literal, escaped by the client.
import pg from 'pg';
import { type Shape, text } from '../../../base/json.ts';
import type { EventFilter } from '../../../store/filter.ts';
import { timeText } from '../session/time-text.ts';
import { readColumns } from './rows.ts';

const { escapeLiteral } = pg;

/** `from`: what follows `select … from`, up to the limit. */
export const copySql = (from: string): string => `copy (select ${readColumns} from ${from}) to stdout (format binary)`;

/** The filter's conditions, each after an `and`. */
export function conditions(filter: EventFilter): string {
  const { aggregateType, aggregateId, types, since, until, correlationId } = filter;
  let sql = '';
  if (aggregateType !== undefined) sql += ` and aggregate_type = ${escapeLiteral(aggregateType)}`;
  if (aggregateId !== undefined) sql += ` and aggregate_id = ${escapeLiteral(aggregateId)}`;
  if (types !== undefined) sql += ` and event_type in (${[...types].map(escapeLiteral).join() || 'null'})`;
  if (since > Number.NEGATIVE_INFINITY) sql += ` and occurred_at >= ${timeLiteral(since)}`;
  if (until < Number.POSITIVE_INFINITY) sql += ` and occurred_at < ${timeLiteral(until)}`;
  if (correlationId !== undefined) sql += ` and metadata ->> 'correlationId' = ${escapeLiteral(correlationId)}`;
  return sql;
}

const leastTime = Date.UTC(-4711, 0, 1);

/** As a literal, so that the planner leaves other months' partitions alone. */
const timeLiteral = (ms: number): string => `timestamptz '${timeText(Math.max(ms, leastTime))}'`;

/** Columns of a head: in which times its events lie, milliseconds. */
export const timeBounds = `(extract(epoch from first_occurred_at) * 1000)::text as first_at,
  (extract(epoch from last_occurred_at) * 1000)::text as last_at`;

export interface TimeBounds {
  first_at: string;
  last_at: string;
}

export const timeBoundsShape: { readonly [Bound in keyof TimeBounds]: Shape<string> } = {
  first_at: text,
  last_at: text,
};

/**
 * The condition that goes with them. Literals, so that the planner looks at the partitions of these months only: with a
 * subquery in their place it plans for every month there is, which takes longer than the reading.
 */
export function withinTimes({ first_at, last_at }: { first_at: unknown; last_at: unknown }): string {
  const [first, last] = [Math.floor(Number(first_at)), Math.ceil(Number(last_at))];
  if (!Number.isFinite(first) || !Number.isFinite(last)) return '';
  return ` and occurred_at >= ${timeLiteral(first)} and occurred_at <= ${timeLiteral(last)}`;
}
