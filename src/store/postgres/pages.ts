// Pages of events, by COPY in its binary format: the rows become frames without a text between. COPY takes no parameters,
// so every value is written as a literal, escaped by the client.
import pg from 'pg';
import { decodeEvent, type StoredEvent } from '../../event.ts';
import { FrameReader } from '../../frame.ts';
import type { EventFilter } from '../filter.ts';
import { copiedOut } from './copy-out.ts';
import { type EventFrames, framesOf, readColumns } from './rows.ts';
import { timeText } from './time-text.ts';

const { escapeLiteral } = pg;

/** `from`: what follows `select … from`, up to the limit. */
export async function copyEvents(client: pg.ClientBase, from: string): Promise<EventFrames> {
  const chunks: Buffer[] = [];
  const sql = `copy (select ${readColumns} from ${from}) to stdout (format binary)`;
  for await (const chunk of copiedOut(client, sql)) chunks.push(chunk);
  return framesOf(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
}

export function eventsIn({ frames, positions, count }: EventFrames): StoredEvent[] {
  const frame = new FrameReader(frames);
  const events: StoredEvent[] = [];
  for (let i = 0, next = 0; i < count; i++) {
    frame.at(next);
    next = frame.next;
    events.push(decodeEvent(frame, positions[i]!));
  }
  return events;
}

/** The filter's conditions as SQL, each after an `and`. */
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

/**
 * The condition that goes with them. Literals, so that the planner looks at the partitions of these months only: with a
 * subquery in their place it plans for every month there is, which takes longer than the reading.
 */
export function withinTimes({ first_at, last_at }: { first_at: unknown; last_at: unknown }): string {
  const [first, last] = [Math.floor(Number(first_at)), Math.ceil(Number(last_at))];
  if (!Number.isFinite(first) || !Number.isFinite(last)) return '';
  return ` and occurred_at >= ${timeLiteral(first)} and occurred_at <= ${timeLiteral(last)}`;
}
