// Statements on the table of quarantined events. `schema`: quoted.
import { bytes, number, object, oneOf, text } from '../../../base/json.ts';
import type { QuarantinedEvent } from '../../../store/store.ts';
import { type Nothing, noColumns, Statement } from '../session/statement.ts';

export const pageRows = 500;

interface RefusedRow {
  aggregate_type: string;
  aggregate_id: string;
  version: number;
  position: number;
  code: string;
  reason: string;
}

export const refusedStatement = (schema: string): Statement<{ logId: string; from: number; to: number }, RefusedRow> =>
  new Statement(
    'a quarantined event',
    `select aggregate_type, aggregate_id, version, position::float8 as position, code, reason
     from ${schema}.quarantined_events where log_id = $1 and position between $2 and $3 order by position`,
    ['logId', 'from', 'to'],
    object<RefusedRow>({
      aggregate_type: text,
      aggregate_id: text,
      version: number,
      position: number,
      code: text,
      reason: text,
    }),
  );

/** The place behind which a page of all that lie in quarantine begins. */
export interface Behind {
  logId: string;
  position: number;
}

export interface QuarantinedRow {
  log_id: string;
  position: number;
  code: QuarantinedEvent['code'];
  reason: string;
  /** Seconds. */
  quarantined_at: number;
  frame: Buffer;
}

/** Oldest first within each log; a page of {@link pageRows}. */
export const quarantinedStatement = (schema: string): Statement<Behind, QuarantinedRow> =>
  new Statement(
    'a quarantined event',
    `select log_id, position::float8 as position, code, reason,
       extract(epoch from quarantined_at)::float8 as quarantined_at, frame
     from ${schema}.quarantined_events
     where (log_id, position) > ($1, $2) order by log_id, quarantined_events.position limit ${pageRows}`,
    ['logId', 'position'],
    object<QuarantinedRow>({
      log_id: text,
      position: number,
      code: oneOf('Fenced', 'VersionGap', 'RefusedByServer', 'LostByStore'),
      reason: text,
      quarantined_at: number,
      frame: bytes,
    }),
  );

/** One log's, column by column. */
interface Refused {
  logId: string;
  positions: readonly number[];
  ids: readonly string[];
  types: readonly string[];
  aggregates: readonly string[];
  versions: readonly number[];
  names: readonly string[];
  /** Milliseconds. */
  times: readonly number[];
  codes: readonly string[];
  reasons: readonly string[];
  frames: readonly Buffer[];
}

/** Within the batch's transaction. */
export const quarantineStatement = (schema: string): Statement<Refused, Nothing> =>
  new Statement(
    'a quarantined event',
    `insert into ${schema}.quarantined_events
       (log_id, position, id, aggregate_type, aggregate_id, version, event_type, occurred_at, code, reason, frame)
     select $1, position, id, type, aggregate, version, name, pg_catalog.to_timestamp(at / 1000), code, reason, frame
     from unnest($2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::int[], $7::text[], $8::float8[], $9::text[],
       $10::text[], $11::bytea[]) as refused (position, id, type, aggregate, version, name, at, code, reason, frame)`,
    ['logId', 'positions', 'ids', 'types', 'aggregates', 'versions', 'names', 'times', 'codes', 'reasons', 'frames'],
    noColumns,
  );
