// Events that the store does not take, kept whole beside it: nothing is dropped, nothing overwritten.
// The flush writes them; the host thread and the command line read them.
import type pg from 'pg';
import { decodeEvent } from '../../../model/event.ts';
import type { QuarantinedEvent, RefusedEvent } from '../../../store/store.ts';
import { FrameReader } from '../../../wire/frame.ts';
import type { Statement } from '../session/statement.ts';
import type { Refusal } from './heads.ts';
import {
  type Behind,
  pageRows,
  type QuarantinedRow,
  quarantinedStatement,
  quarantineStatement,
  refusedStatement,
} from './quarantine-sql.ts';

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
  const rows = await refusedStatement(schema).run(client, { logId, from, to });
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
  await quarantineStatement(schema).count(client, {
    logId,
    positions: rows.map((row) => row.position),
    ids: rows.map((row) => row.id),
    types: rows.map((row) => row.aggregateType),
    aggregates: rows.map((row) => row.aggregateId),
    versions: rows.map((row) => row.version),
    names: rows.map((row) => row.name),
    times: rows.map((row) => row.at),
    codes: rows.map((row) => row.code),
    reasons: rows.map((row) => row.reason),
    frames: rows.map((row) => row.whole),
  });
}

/** All that lie in quarantine, oldest first within each log. */
export async function* quarantined(
  select: (statement: Statement<Behind, QuarantinedRow>, after: Behind) => Promise<QuarantinedRow[]>,
  schema: string,
): AsyncGenerator<QuarantinedEvent> {
  const statement = quarantinedStatement(schema);
  let [logId, position] = ['', 0];
  for (;;) {
    const rows = await select(statement, { logId, position });
    for (const row of rows) {
      logId = row.log_id;
      position = row.position;
      const event = decodeEvent(new FrameReader(row.frame).at(0), position);
      yield { event, logId, code: row.code, reason: row.reason, quarantinedAt: new Date(1000 * row.quarantined_at) };
    }
    if (rows.length < pageRows) return;
  }
}
