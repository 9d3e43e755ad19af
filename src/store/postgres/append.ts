// Events of entities into a transaction of the user's own, on the user's own connection: heads, events and outbox by one
// statement, in one round trip. Runs in the caller's thread.
//
// Invariants: an aggregate's head is locked before its events take their numbers, and until the transaction ends, so that
// numbers within an aggregate run like its versions; either all events of a call are appended or the server raises an
// error, after which the transaction can only be rolled back.
//
// Whether a type belongs to actors is looked up for new aggregates only: the head of an old one says it by its log.
//
// The statement for one event is not the one for several with arrays of length one: that would take three times as long.
import pg from 'pg';
import { TrunklineError } from '../../errors.ts';
import type { AppendedEvent, TransactionAppend, TransactionClient } from '../store.ts';
import { codeOf } from './failure.ts';
import { timeText } from './pages.ts';

export class PostgresAppend implements TransactionAppend {
  private readonly one: string;
  private readonly several: string;

  constructor(schema: string) {
    // Unnamed: a pooler may run the next one on another connection, which does not know the name.
    this.one = statementForOne(pg.escapeIdentifier(schema));
    this.several = statementForSeveral(pg.escapeIdentifier(schema));
  }

  async append(client: TransactionClient, events: readonly AppendedEvent[]): Promise<number[]> {
    try {
      if (events.length > 1) return await this.appendSeveral(client, events);
      return [await this.appendOne(client, events[0]!)];
    } catch (error) {
      throw refusal(error);
    }
  }

  private async appendOne(client: TransactionClient, event: AppendedEvent): Promise<number> {
    const { id, aggregateType, aggregateId, type, schemaVersion, occurredAt, dataJson, metadataJson } = event;
    const expected = event.expectedVersion ?? null;
    const values = [
      id,
      aggregateType,
      aggregateId,
      type,
      schemaVersion,
      timeText(occurredAt.getTime()),
      dataJson,
      metadataJson || null,
      expected,
    ];
    const { rows } = await client.query({ text: this.one, values });
    return rows[0].version;
  }

  private async appendSeveral(client: TransactionClient, events: readonly AppendedEvent[]): Promise<number[]> {
    const column = <T>(pick: (event: AppendedEvent) => T): T[] => events.map(pick);
    const values = [
      column(({ id }) => id),
      column(({ aggregateType }) => aggregateType),
      column(({ aggregateId }) => aggregateId),
      column(({ type }) => type),
      column(({ schemaVersion }) => schemaVersion),
      column(({ occurredAt }) => timeText(occurredAt.getTime())),
      column(({ dataJson }) => dataJson),
      column(({ metadataJson }) => metadataJson || null),
      column(({ expectedVersion }) => (expectedVersion === undefined ? null : expectedVersion + 1)),
    ];
    const { rows } = await client.query({ text: this.several, values });
    return rows[0].versions;
  }
}

const columns =
  'id, aggregate_type, aggregate_id, event_type, schema_version, occurred_at, data, metadata, version' as const;

function statementForOne(schema: string): string {
  return `
    with head as (
      insert into ${schema}.aggregates as a
        (aggregate_type, aggregate_id, version, previous_version, first_occurred_at, last_occurred_at)
      select $2::text, $3::text, coalesce($9::integer, 0) + 1, coalesce($9, 0), $6::timestamptz, $6
      where case when coalesce($9, 0) = 0
        then not exists (select from ${schema}.actor_types where aggregate_type = $2)
        else exists (select from ${schema}.aggregates where aggregate_type = $2 and aggregate_id = $3) end
      on conflict (aggregate_type, aggregate_id) do update set
        version = a.version + 1,
        previous_version = a.version,
        first_occurred_at = least(a.first_occurred_at, excluded.first_occurred_at),
        last_occurred_at = greatest(a.last_occurred_at, excluded.last_occurred_at),
        updated_at = excluded.updated_at
      where a.log_id is null and a.version = coalesce($9, a.version)
      returning version
    ), event as (
      insert into ${schema}.domain_events (${columns})
      select $1::uuid, $2, $3, $4::text, $5::integer, $6, $7::jsonb, $8::jsonb, version from head
      returning sequence, version
    ), taken as (
      insert into ${schema}.outbox (sequence, id, occurred_at) select sequence, $1, $6 from event
    )
    select coalesce((select version from event),
      ${schema}.refuse_append(array[$2], array[$3], array[coalesce($9, 0)])) as version`;
}

/** Events may carry a version or not; one version that is expected decides for all of its aggregate. */
function statementForSeveral(schema: string): string {
  return `
    with input as materialized (
      select i.*, (row_number() over (partition by aggregate_type, aggregate_id order by place))::integer as nth
      from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::timestamptz[],
        $7::jsonb[], $8::jsonb[], $9::integer[]) with ordinality as i (${columns}, place)
    ), wanted as materialized (
      select aggregate_type, aggregate_id, count(*)::integer as events, max(version - nth) as expected,
        min(occurred_at) as first, max(occurred_at) as last
      from input group by aggregate_type, aggregate_id
      order by aggregate_type collate "C", aggregate_id collate "C"
    ), head as (
      insert into ${schema}.aggregates as a
        (aggregate_type, aggregate_id, version, previous_version, first_occurred_at, last_occurred_at)
      select aggregate_type, aggregate_id, coalesce(expected, 0) + events, coalesce(expected, 0), first, last
      from wanted w
      where case when coalesce(expected, 0) = 0
        then not exists (select from ${schema}.actor_types t where t.aggregate_type = w.aggregate_type)
        else exists (select from ${schema}.aggregates h
          where h.aggregate_type = w.aggregate_type and h.aggregate_id = w.aggregate_id) end
      on conflict (aggregate_type, aggregate_id) do update set
        version = a.version + excluded.version - excluded.previous_version,
        previous_version = a.version,
        first_occurred_at = least(a.first_occurred_at, excluded.first_occurred_at),
        last_occurred_at = greatest(a.last_occurred_at, excluded.last_occurred_at),
        updated_at = excluded.updated_at
      where a.log_id is null and (a.version = excluded.previous_version or excluded.previous_version = 0
        and (select expected from wanted w
             where w.aggregate_type = a.aggregate_type and w.aggregate_id = a.aggregate_id) is null)
      returning aggregate_type, aggregate_id, previous_version
    ), numbered as materialized (
      select i.*, h.previous_version + i.nth as given from input i join head h using (aggregate_type, aggregate_id)
    ), event as (
      insert into ${schema}.domain_events (${columns})
      select id, aggregate_type, aggregate_id, event_type, schema_version, occurred_at, data, metadata, given from (
        select * from numbered where (select count(*) from head) = (select count(*) from wanted) order by place) as i
      returning sequence, id, occurred_at
    ), taken as (
      insert into ${schema}.outbox (sequence, id, occurred_at) select sequence, id, occurred_at from event
    )
    select (select array_agg(given order by place) from numbered) as versions,
      case when not exists (select from event) then ${schema}.refuse_append(
        (select array_agg(aggregate_type) from wanted), (select array_agg(aggregate_id) from wanted),
        (select array_agg(expected) from wanted)) end`;
}

/** What the server's functions refuse, as our errors; anything else as it came: it is the user's own connection. */
function refusal(error: unknown): unknown {
  const { detail, message } = error as { detail?: string; message?: string };
  if (codeOf(error) === 'TKWRD') {
    const reason = message!.slice(message!.indexOf(': ') + 2);
    return new TrunklineError('WrongDoor', { aggregateType: detail ?? '', reason }, { cause: error });
  }
  if (codeOf(error) === 'TKCON') {
    const [aggregateType, aggregateId, expectedVersion, actualVersion] = JSON.parse(detail!);
    const details = { aggregateType, aggregateId, expectedVersion, actualVersion };
    return new TrunklineError('ConcurrencyConflict', details, { cause: error });
  }
  return error;
}
