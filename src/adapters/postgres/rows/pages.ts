// Pages of events, by COPY in its binary format: the rows become frames without a text between. COPY takes no parameters,
// so every value is written as a literal, escaped by the client.
import pg from 'pg';
import type { EventFilter } from '../../../store/filter.ts';
import { pageBytes } from '../../../store/page-bytes.ts';
import { destroyClient } from '../session/server-session.ts';
import { timeText } from '../session/time-text.ts';
import { copiedOut } from './copy-out.ts';
import { closed, type EventFrames, endOfWholeRows, framesOf, readColumns } from './rows.ts';

const { escapeLiteral } = pg;

/** `isCut`: there was more than a page holds, and its connection is good for nothing more. */
export interface EventPage extends EventFrames {
  readonly isCut: boolean;
}

/** Of a page's bytes: pages that are cut cost a connection. */
const fillShare = 0.9;

/** How many rows fit into a page, by those of the last one. */
export class RowBytes {
  private bytes = 0;

  get fitting(): number {
    return Math.max(1, Math.floor((pageBytes * fillShare) / this.bytes));
  }

  note(page: EventPage): EventPage {
    if (page.count > 0) this.bytes = page.frames.length / page.count;
    return page;
  }
}

/**
 * `from`: what follows `select … from`, up to the limit. Beyond the bytes of a page the rest is not taken: its connection is
 * destroyed, since a COPY out has no other end.
 */
export async function copyEvents(client: pg.ClientBase, from: string): Promise<EventPage> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let most = pageBytes;
  const sql = `copy (select ${readColumns} from ${from}) to stdout (format binary)`;
  for await (const chunk of copiedOut(client, sql)) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes <= most) continue;
    const rows = Buffer.concat(chunks);
    const end = endOfWholeRows(rows);
    if (end > 0) {
      destroyClient(client);
      return { ...framesOf(closed(rows, end)), isCut: true };
    }
    most *= 2; // one row has more than a page
  }
  return { ...framesOf(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)), isCut: false };
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
