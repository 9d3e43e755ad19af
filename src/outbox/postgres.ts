// The outbox in PostgreSQL: one connection, which holds the relay's advisory lock for as long as it lives. Claims are
// updates on that very connection: a relay that has lost it has lost the lock, and can claim nothing more. Even without
// the lock (a pooler between) a row could be claimed only once: by the update itself.
import pg from 'pg';
import { TrunklineError } from '../errors.ts';
import { failure } from '../store/postgres/failure.ts';
import { type Connection, configOf } from '../store/postgres/migrate.ts';
import type { ClaimedEvent, Outbox, OutboxSession, Place } from './outbox.ts';

export interface PostgresOutboxSettings {
  connection: Connection;
  schema: string;
  logId: string;
  /** Types whose events this runtime's actors raise. */
  actorTypes: readonly string[];
}

const queryTimeoutMs = 30_000; // a connection that hangs for longer is given up, with its lock

export class PostgresOutbox implements Outbox {
  private readonly settings: PostgresOutboxSettings;
  private readonly schema: string;

  constructor(settings: PostgresOutboxSettings) {
    this.settings = settings;
    this.schema = pg.escapeIdentifier(settings.schema);
  }

  async open(): Promise<OutboxSession | undefined> {
    const { connection, schema, actorTypes } = this.settings;
    const config = { keepAlive: true, query_timeout: queryTimeoutMs, ...configOf(connection) };
    const client = new pg.Client({ ...config, application_name: 'trunkline relay' });
    client.on('error', () => {}); // whoever waits for a query is told
    try {
      await client.connect();
      await this.register(client, actorTypes);
      const lock = 'select pg_try_advisory_lock(hashtext($1), hashtext($2)) as held';
      const { rows } = await client.query(lock, ['trunkline.relay', schema]);
      if (rows[0].held) return new Session(client, this.schema, this.settings);
      await client.end();
      return undefined;
    } catch (error) {
      client.end().catch(() => {});
      throw failure(error, schema);
    }
  }

  /** Close the transactions' door to the actors' types, unless somebody has gone through it. */
  private async register(client: pg.Client, types: readonly string[]): Promise<void> {
    const { schema } = this;
    const { rows: missing } = await client.query(
      `select type from unnest($1::text[]) as type where not exists (
        select from ${schema}.actor_types where aggregate_type = type)`,
      [types],
    );
    for (const { type } of missing) {
      const { rowCount } = await client.query(
        `with used as (select from ${schema}.aggregates where aggregate_type = $1 and log_id is null limit 1)
        insert into ${schema}.actor_types (aggregate_type) select $1 where not exists (select from used)
        on conflict (aggregate_type) do update set aggregate_type = excluded.aggregate_type`,
        [type],
      );
      if (rowCount === 1) continue;
      const reason = 'transactions have written events of this type; actors must use another';
      throw new TrunklineError('WrongDoor', { aggregateType: type, reason });
    }
  }
}

const eventColumns = `d.id::text as id, d.aggregate_type, d.aggregate_id, d.version, d.event_type, d.schema_version,
  extract(epoch from d.occurred_at)::float8 * 1000 as occurred_at, d.data::text as data, d.metadata::text as metadata`;

class Session implements OutboxSession {
  private readonly client: pg.Client;
  private readonly settings: PostgresOutboxSettings;
  private readonly claimStatement: string;
  private readonly claimedStatement: string;

  constructor(client: pg.Client, schema: string, settings: PostgresOutboxSettings) {
    this.client = client;
    this.settings = settings;
    const events = `join ${schema}.domain_events d on d.id = o.id and d.occurred_at = o.occurred_at`;
    this.claimStatement = `
      with picked as (
        select sequence from ${schema}.outbox where log_id is null order by sequence limit $2 for update
      ), number as materialized (
        select nextval(${pg.escapeLiteral(`${schema}.outbox_batch`)}) as batch where exists (select from picked)
      ), o as (
        update ${schema}.outbox set log_id = $1, batch = number.batch from picked, number
        where outbox.sequence = picked.sequence
        returning outbox.batch, outbox.sequence, outbox.id, outbox.occurred_at
      )
      select o.batch, o.sequence, ${eventColumns} from o ${events} order by o.sequence`;
    this.claimedStatement = `
      select o.batch, o.sequence, ${eventColumns} from ${schema}.outbox o ${events}
      where o.log_id = $1 and o.batch is not null and (o.batch, o.sequence) > ($2::bigint, $3::bigint)
      order by o.batch, o.sequence`;
  }

  claimed(place: Place): Promise<ClaimedEvent[]> {
    return this.query(this.claimedStatement, [this.settings.logId, place.batch, place.sequence]);
  }

  claim(limit: number): Promise<ClaimedEvent[]> {
    return this.query(this.claimStatement, [this.settings.logId, limit], 'trunkline_claim');
  }

  async close(): Promise<void> {
    await this.client.end().catch(() => {});
  }

  abort(): void {
    (this.client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  }

  private async query(text: string, values: unknown[], name?: string): Promise<ClaimedEvent[]> {
    try {
      const { rows } = await this.client.query({ ...(name && { name }), text, values });
      return rows.map(claimedEvent);
    } catch (error) {
      throw failure(error, this.settings.schema);
    }
  }
}

function claimedEvent(row: any): ClaimedEvent {
  return {
    batch: Number(row.batch),
    sequence: Number(row.sequence),
    id: row.id,
    aggregateType: row.aggregate_type,
    aggregateId: row.aggregate_id,
    version: row.version,
    type: row.event_type,
    schemaVersion: row.schema_version,
    occurredAt: Math.round(row.occurred_at),
    dataJson: compact(row.data),
    metadataJson: row.metadata === null || row.metadata === '{}' ? '' : compact(row.metadata),
  };
}

/** jsonb's text has blanks, and 1e300 in full: back to what JSON.stringify makes of the value, as in any other event. */
const compact = (text: string): string => JSON.stringify(JSON.parse(text));
