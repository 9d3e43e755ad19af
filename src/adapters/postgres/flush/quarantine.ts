// Events that the store does not take, kept whole beside it: nothing is dropped, nothing overwritten.
import type pg from 'pg';
import { decodeEvent } from '../../../model/event.ts';
import type { QuarantinedEvent, RefusedEvent } from '../../../store/store.ts';
import { FrameReader } from '../../../wire/frame.ts';
import type { Refusal } from './heads.ts';

const pageRows = 500;

export const noticeOf = ({ entry, code, reason }: Refusal): RefusedEvent => ({
  aggregateType: entry.run.type,
  aggregateId: entry.run.id,
  version: entry.version,
  position: entry.position,
  code,
  reason,
});

/** What was refused of these positions of a log, `to` included. */
export async function refusedBetween(
  client: pg.ClientBase,
  schema: string,
  logId: string,
  from: number,
  to: number,
): Promise<RefusedEvent[]> {
  const { rows } = await client.query(
    `select aggregate_type, aggregate_id, version, position::float8 as position, code, reason
     from ${schema}.quarantined_events where log_id = $1 and position between $2 and $3 order by position`,
    [logId, from, to],
  );
  return rows.map((row) => ({
    aggregateType: row.aggregate_type,
    aggregateId: row.aggregate_id,
    version: row.version,
    position: row.position,
    code: row.code,
    reason: row.reason,
  }));
}

/** Within the batch's transaction. `bytes`: the batch's. */
export async function quarantine(
  client: pg.ClientBase,
  schema: string,
  logId: string,
  bytes: Buffer,
  refused: readonly Refusal[],
): Promise<void> {
  const frame = new FrameReader(bytes);
  const rows = refused.map(({ entry, code, reason }) => {
    frame.at(entry.offset);
    const { id, aggregateType, aggregateId, version, name, occurredAt, offset, length } = frame;
    const at = Number.isNaN(occurredAt) ? 0 : Math.max(occurredAt, -2e14);
    const whole = bytes.subarray(offset, offset + length);
    return { position: entry.position, id, aggregateType, aggregateId, version, name, at, code, reason, whole };
  });
  await client.query(
    `insert into ${schema}.quarantined_events
       (log_id, position, id, aggregate_type, aggregate_id, version, event_type, occurred_at, code, reason, frame)
     select $1, position, id, type, aggregate, version, name, pg_catalog.to_timestamp(at / 1000), code, reason, frame
     from unnest($2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::int[], $7::text[], $8::float8[], $9::text[],
       $10::text[], $11::bytea[]) as refused (position, id, type, aggregate, version, name, at, code, reason, frame)`,
    [
      logId,
      rows.map((row) => row.position),
      rows.map((row) => row.id),
      rows.map((row) => row.aggregateType),
      rows.map((row) => row.aggregateId),
      rows.map((row) => row.version),
      rows.map((row) => row.name),
      rows.map((row) => row.at),
      rows.map((row) => row.code),
      rows.map((row) => row.reason),
      rows.map((row) => row.whole),
    ],
  );
}

/** All that lie in quarantine, oldest first within each log. */
export async function* quarantined(
  query: (sql: string, values: unknown[]) => Promise<pg.QueryResult>,
  schema: string,
): AsyncGenerator<QuarantinedEvent> {
  let [logId, position] = ['', 0];
  for (;;) {
    const { rows } = await query(
      `select log_id, position, code, reason, extract(epoch from quarantined_at) as quarantined_at, frame from ${schema}.quarantined_events
       where (log_id, position) > ($1, $2) order by log_id, position limit ${pageRows}`,
      [logId, position],
    );
    for (const row of rows) {
      logId = row.log_id;
      position = Number(row.position);
      const event = decodeEvent(new FrameReader(row.frame).at(0), position);
      yield { event, logId, code: row.code, reason: row.reason, quarantinedAt: new Date(1000 * row.quarantined_at) };
    }
    if (rows.length < pageRows) return;
  }
}
