// The relay's statements; relay-session.ts says what they hold to. `schema`: quoted.
import pg from 'pg';
import { type Big, big, flag, listOf, nullable, number, object, text } from '../../../base/json.ts';
import { durable } from '../session/session-sql.ts';
import { type Nothing, noColumns, Statement } from '../session/statement.ts';

/** Another runtime takes over from a relay that has not been seen for so long. */
const leaseMs = 5000;
const renewMs = 1000;
const now = 'pg_catalog.clock_timestamp()';
/** Neither long ago, nor ahead of the server's clock. */
const isDueToRenew = `seen_at not between ${now} - interval '${renewMs} milliseconds' and ${now}`;

const what = 'the place of the relay';
const whatRow = 'a row of the outbox';

interface OfLog {
  logId: string;
}

const eventOf = (schema: string): string =>
  `${schema}.domain_events d on d.id = o.id and d.occurred_at = o.occurred_at`;

/** Milliseconds, as near as a fraction comes; a finer time, which earlier releases let in, rounded down. */
const timeOf = "extract(epoch from pg_catalog.date_trunc('milliseconds', d.occurred_at))::float8 * 1000";

export const raisedTypesStatement = (schema: string): Statement<{ most: number }, { type: string }> =>
  new Statement(
    'a type that may be raised',
    `select distinct aggregate_type as type from ${schema}.raise_rights where aggregate_type <> '*' limit $1`,
    ['most'],
    object({ type: text }),
  );

interface Taken extends OfLog {
  session: string;
  /** null: any earlier process of this log is followed. */
  former: string | null;
}

/** No row: another is the relay. */
export function takeStatement(schema: string): Statement<Taken, Nothing> {
  const lease = `interval '${leaseMs} milliseconds'`;
  return new Statement(
    what,
    `update ${schema}.outbox_relay set log_id = $1, session = $2::uuid, seen_at = ${now}
      where session is null or session in ($2::uuid, $3::uuid) or ($3::uuid is null and log_id = $1)
        or seen_at not between ${now} - ${lease} and ${now} + ${lease}
      returning ${durable}`,
    ['logId', 'session', 'former'],
    noColumns,
  );
}

interface Due {
  /** null: there is no relay. */
  isRelay: boolean | null;
  isDue: boolean | null;
}

/** Cheap to plan and to run: a relay without work asks this, and nothing else, twenty times a second. */
export const dueStatement = (schema: string): Statement<{ session: string }, Due> =>
  new Statement(
    what,
    `select session = $1::uuid as "isRelay",
        exists (select from ${schema}.outbox where log_id is null and refused is null) or ${isDueToRenew} as "isDue"
      from ${schema}.outbox_relay`,
    ['session'],
    object<Due>({ isRelay: nullable(flag), isDue: nullable(flag) }),
  );

interface ClaimGiven extends OfLog {
  session: string;
  limit: number;
  /** A batch that is not behind it is not given to rows. */
  last: number;
}

interface ClaimFound {
  isRelay: boolean | null;
  events: number;
  /** 0: none was drawn. */
  batch: Big;
  stored: number;
  held: number;
  heldBy: string[];
}

export const claimStatement = (schema: string): Statement<ClaimGiven, ClaimFound> =>
  new Statement(
    what,
    `with lease as materialized (
        update ${schema}.outbox_relay set seen_at = ${now}
        where session = $2::uuid and (exists (select from ${schema}.outbox where log_id is null and refused is null)
          or ${isDueToRenew})
        returning ${durable}
      ), elsewhere as materialized (
        select distinct d.aggregate_type, d.aggregate_id, o.log_id
        from ${schema}.outbox o join ${eventOf(schema)} where (o.log_id < $1 or o.log_id > $1) and o.refused is null
      ), picked as (
        select o.sequence from ${schema}.outbox o
        where o.log_id is null and o.refused is null and exists (select from lease)
          and (not exists (select from elsewhere) or not exists (
            select from ${schema}.domain_events d join elsewhere using (aggregate_type, aggregate_id)
            where d.id = o.id and d.occurred_at = o.occurred_at))
        order by o.sequence limit $3 for update of o
      ), number as materialized (
        select pg_catalog.nextval(${pg.escapeLiteral(`${schema}.outbox_batch`)}) as batch where exists (select from picked)
      ), claimed as (
        update ${schema}.outbox o set log_id = $1, batch = number.batch from picked, number
        where o.sequence = picked.sequence and number.batch > $4::bigint returning o.batch
      )
      select session = $2::uuid as "isRelay", claimed.events::float8, coalesce((select batch from number), 0)::text as batch,
        coalesce((select position from ${schema}.flush_checkpoints where log_id = $1), 0)::float8 as stored,
        case when exists (select from elsewhere)
          then (select pg_catalog.count(*) from ${schema}.outbox where log_id is null and refused is null)::float8 - claimed.events::float8
          else 0 end as held,
        array(select distinct log_id from elsewhere) as "heldBy"
      from ${schema}.outbox_relay, (select pg_catalog.count(*) as events from claimed) claimed`,
    ['logId', 'session', 'limit', 'last'],
    object<ClaimFound>({
      isRelay: nullable(flag),
      events: number,
      batch: big,
      stored: number,
      held: number,
      heldBy: listOf(text),
    }),
  );

interface ClaimedGiven extends OfLog {
  batch: number;
  sequence: number;
  rows: number;
  bytes: number;
}

/** An event's columns are null if the row is an orphan. */
export interface ClaimedFound {
  batch: Big;
  sequence: Big;
  id: string;
  isOrphan: boolean;
  isKnown: boolean;
  aggregateType: string | null;
  aggregateId: string | null;
  version: number | null;
  type: string | null;
  schemaVersion: number | null;
  occurredAt: number | null;
  data: string | null;
  metadata: string | null;
}

/**
 * A batch that no claim has drawn is a stranger's: its row waits, and moves no log's place. The first is read whatever it holds. What
 * the server adds up is the text, as it will send it.
 */
export const claimedStatement = (schema: string): Statement<ClaimedGiven, ClaimedFound> =>
  new Statement(
    whatRow,
    `select * from (
        select o.batch, o.sequence, o.id::text as id, d.id is null as "isOrphan", d.position is not null as "isKnown",
          d.aggregate_type as "aggregateType", d.aggregate_id as "aggregateId", d.version, d.event_type as type,
          d.schema_version as "schemaVersion", ${timeOf} as "occurredAt", d.data::text as data,
          d.metadata::text as metadata,
          pg_catalog.sum(pg_catalog.octet_length(d.data::text) + coalesce(pg_catalog.octet_length(d.metadata::text), 0))
            over (order by o.batch, o.sequence rows between unbounded preceding and 1 preceding) as bytes_before
        from (
          select * from ${schema}.outbox
          where log_id = $1 and batch is not null and position is null and refused is null
            and (batch, sequence) > ($2::bigint, $3::bigint)
            and batch <= (select case when is_called then last_value else 0 end from ${schema}.outbox_batch)
          order by batch, sequence limit $4
        ) o left join ${eventOf(schema)}
      ) e where coalesce(bytes_before, 0) < $5 order by batch, sequence`,
    ['logId', 'batch', 'sequence', 'rows', 'bytes'],
    object<ClaimedFound>({
      ...{ batch: big, sequence: big, id: text, isOrphan: flag, isKnown: flag },
      ...{
        aggregateType: nullable(text),
        aggregateId: nullable(text),
        version: nullable(number),
        type: nullable(text),
      },
      ...{
        schemaVersion: nullable(number),
        occurredAt: nullable(number),
        data: nullable(text),
        metadata: nullable(text),
      },
    }),
  );

interface Removed extends OfLog {
  batches: readonly number[];
  sequences: readonly number[];
}

export const removeStatement = (schema: string): Statement<Removed, Nothing> =>
  new Statement(
    whatRow,
    `delete from ${schema}.outbox o using unnest($2::bigint[], $3::bigint[]) as gone (batch, sequence)
       where o.log_id = $1 and o.batch = gone.batch and o.sequence = gone.sequence returning ${durable}`,
    ['logId', 'batches', 'sequences'],
    noColumns,
  );

interface Refused extends OfLog {
  batch: number;
  sequence: number;
  reason: string;
}

export const setAsideStatement = (schema: string): Statement<Refused, Nothing> =>
  new Statement(
    whatRow,
    `update ${schema}.outbox set refused = $4 where log_id = $1 and batch = $2 and sequence = $3
      returning ${durable}`,
    ['logId', 'batch', 'sequence', 'reason'],
    noColumns,
  );

export const countSetAsideStatement = (schema: string): Statement<Nothing, { count: number }> =>
  new Statement(
    'the count of rows that are set aside',
    `select pg_catalog.count(*)::float8 as count from ${schema}.outbox where refused is not null`,
    [],
    object({ count: number }),
  );

/** Those that the log's sinks have passed. */
export const settleStatement = (schema: string): Statement<OfLog & { floor: number }, Nothing> =>
  new Statement(
    whatRow,
    `delete from ${schema}.outbox where log_id = $1 and position < $2::bigint and refused is null
      returning ${durable}`,
    ['logId', 'floor'],
    noColumns,
  );

export const lastBatchStatement = (schema: string): Statement<Nothing, { last: number }> =>
  new Statement(
    'the last batch',
    `select (case when is_called then last_value else 0 end)::float8 as last from ${schema}.outbox_batch`,
    [],
    object({ last: number }),
  );

interface Doubtful {
  sequence: number;
  id: string;
  aggregateType: string;
  aggregateId: string;
  version: number;
  occurredAt: number;
}

export const doubtfulStatement = (schema: string): Statement<OfLog & { sequence: number; limit: number }, Doubtful> =>
  new Statement(
    whatRow,
    `select o.sequence::float8 as sequence, o.id::text as id, d.aggregate_type as "aggregateType", d.aggregate_id as "aggregateId",
         d.version, ${timeOf} as "occurredAt"
       from ${schema}.outbox o join ${eventOf(schema)}
       where (o.log_id is null or o.log_id = $1) and o.position is null and o.refused is null and o.sequence > $2::bigint
       order by o.sequence limit $3`,
    ['logId', 'sequence', 'limit'],
    object<Doubtful>({
      ...{ sequence: number, id: text, occurredAt: number },
      ...{ aggregateType: text, aggregateId: text, version: number },
    }),
  );

interface Resolved extends OfLog {
  sequences: readonly number[];
  positions: readonly number[];
}

export const resolveStatement = (schema: string): Statement<Resolved, Nothing> =>
  new Statement(
    whatRow,
    `update ${schema}.outbox o set log_id = $1, position = done.position
       from unnest($2::bigint[], $3::bigint[]) as done (sequence, position)
       where o.sequence = done.sequence and o.position is null and (o.log_id is null or o.log_id = $1)
       returning ${durable}`,
    ['logId', 'sequences', 'positions'],
    noColumns,
  );

/** What the log has claimed, and the store has not, waits again; numbers of batches begin behind `batch`. */
export function restartStatement(schema: string): Statement<OfLog & { batch: number }, Nothing> {
  const sequence = `${schema}.outbox_batch`;
  return new Statement(
    whatRow,
    `with again as (
         update ${schema}.outbox set log_id = null, batch = null
         where log_id = $1 and position is null and refused is null returning sequence
       ) select pg_catalog.setval(${pg.escapeLiteral(sequence)}, greatest($2::bigint, (select last_value from ${sequence}))),
           pg_catalog.count(*), ${durable} from again`,
    ['logId', 'batch'],
    noColumns,
  );
}

export const resignStatement = (schema: string): Statement<{ session: string }, Nothing> =>
  new Statement(
    what,
    `update ${schema}.outbox_relay set seen_at = '-infinity' where session = $1::uuid
      returning ${durable}`,
    ['session'],
    noColumns,
  );
