// The relay's statements. Each is a transaction of its own, unnamed: a pooler may run two of them on two connections.
//
// Invariants: a claim holds the lock of the row in `outbox_relay` and names the session written there, so claims of all
// runtimes come one after the other, and a session that has been followed by another claims nothing more, however late
// its statement arrives. What a statement has written is durable when it returns, whatever `synchronous_commit` says.
import pg from 'pg';
import { tame } from '../../../base/tame.ts';
import type {
  Claim,
  Claimed,
  ClaimedEvent,
  ClaimedRow,
  DoubtfulRow,
  OutboxSession,
  Place,
} from '../../../outbox/outbox.ts';
import { failure } from '../session/failure.ts';
import { durable } from '../session/server-session.ts';

/** Another runtime takes over from a relay that has not been seen for so long. */
const leaseMs = 5000;
const renewMs = 1000;
const raisedTypesLimit = 100_000;
const slice = { fewest: 2, most: 500 }; // rows that the server adds up, to find out how many fit

export interface PostgresSessionIdentity {
  readonly logId: string;
  /** Unique for this session. */
  readonly id: string;
  /** The session of this process before; undefined: this is the first, and follows any earlier process of this log. */
  readonly former: string | undefined;
}

/** `schema`: escaped. */
export async function raisedTypesIn(client: pg.Client, schema: string): Promise<ReadonlySet<string>> {
  const sql = `select distinct aggregate_type as type from ${schema}.raise_rights where aggregate_type <> '*' limit $1`;
  const { rows } = await client.query(sql, [raisedTypesLimit]);
  return new Set(rows.map(({ type }) => type));
}

export class PostgresOutboxSession implements OutboxSession {
  private readonly client: pg.Client;
  private readonly schema: string;
  private readonly identity: PostgresSessionIdentity;
  private readonly takeSql: string;
  private readonly dueSql: string;
  private readonly claimSql: string;
  private readonly claimedSql: string;
  private readonly table: string;
  private isRelay = false;
  private sliceRows = slice.fewest;

  /** `schema`: not escaped. In one function: the statements, each of them once. */
  constructor(client: pg.Client, schema: string, identity: PostgresSessionIdentity) {
    this.client = client;
    this.schema = schema;
    this.identity = identity;
    const name = pg.escapeIdentifier(schema);
    this.table = `${name}.outbox`;
    const event = `${name}.domain_events d on d.id = o.id and d.occurred_at = o.occurred_at`;
    const now = 'pg_catalog.clock_timestamp()';
    const lease = `interval '${leaseMs} milliseconds'`;
    this.takeSql = `update ${name}.outbox_relay set log_id = $1, session = $2::uuid, seen_at = ${now}
      where session is null or session in ($2::uuid, $3::uuid) or ($3::uuid is null and log_id = $1)
        or seen_at not between ${now} - ${lease} and ${now} + ${lease}
      returning ${durable}`;
    // Cheap to plan and to run: a relay without work asks this, and nothing else, twenty times a second.
    this.dueSql = `
      select session = $1::uuid as is_relay,
        exists (select from ${this.table} where log_id is null and refused is null)
          or seen_at not between ${now} - interval '${renewMs} milliseconds' and ${now} as is_due
      from ${name}.outbox_relay`;
    this.claimSql = `
      with lease as materialized (
        update ${name}.outbox_relay set seen_at = ${now}
        where session = $2::uuid and (exists (select from ${this.table} where log_id is null and refused is null)
          or seen_at not between ${now} - interval '${renewMs} milliseconds' and ${now})
        returning ${durable}
      ), elsewhere as materialized (
        select distinct d.aggregate_type, d.aggregate_id, o.log_id
        from ${this.table} o join ${event} where (o.log_id < $1 or o.log_id > $1) and o.refused is null
      ), picked as (
        select o.sequence from ${this.table} o
        where o.log_id is null and o.refused is null and exists (select from lease)
          and (not exists (select from elsewhere) or not exists (
            select from ${name}.domain_events d join elsewhere using (aggregate_type, aggregate_id)
            where d.id = o.id and d.occurred_at = o.occurred_at))
        order by o.sequence limit $3 for update of o
      ), number as materialized (
        select pg_catalog.nextval(${pg.escapeLiteral(`${name}.outbox_batch`)}) as batch where exists (select from picked)
      ), claimed as (
        update ${this.table} o set log_id = $1, batch = number.batch from picked, number
        where o.sequence = picked.sequence and number.batch > $4::bigint returning o.batch
      )
      select session = $2::uuid as is_relay, claimed.events::float8, coalesce((select batch from number), 0) as batch,
        coalesce((select position from ${name}.flush_checkpoints where log_id = $1), 0)::float8 as stored,
        case when exists (select from elsewhere)
          then (select pg_catalog.count(*) from ${this.table} where log_id is null and refused is null)::float8 - claimed.events::float8
          else 0 end as held,
        array(select distinct log_id from elsewhere) as held_by
      from ${name}.outbox_relay, (select pg_catalog.count(*) as events from claimed) claimed`;
    // A batch that no claim has drawn is a stranger's: its row waits, and moves no log's place. The first is read whatever it holds. What the server adds up is the text, as it will send it.
    this.claimedSql = `
      select * from (
        select o.batch, o.sequence, o.id::text as id, d.id is null as is_orphan, d.position is not null as is_known, d.aggregate_type, d.aggregate_id, d.version, d.event_type,
          d.schema_version, extract(epoch from d.occurred_at)::float8 * 1000 as occurred_at, d.data::text as data,
          d.metadata::text as metadata,
          pg_catalog.sum(pg_catalog.octet_length(d.data::text) + coalesce(pg_catalog.octet_length(d.metadata::text), 0))
            over (order by o.batch, o.sequence rows between unbounded preceding and 1 preceding) as bytes_before
        from (
          select * from ${this.table}
          where log_id = $1 and batch is not null and position is null and refused is null
            and (batch, sequence) > ($2::bigint, $3::bigint)
            and batch <= (select case when is_called then last_value else 0 end from ${name}.outbox_batch)
          order by batch, sequence limit $4
        ) o left join ${event}
      ) e where coalesce(bytes_before, 0) < $5 order by batch, sequence`;
  }

  async raisedTypes(): Promise<ReadonlySet<string>> {
    try {
      return await raisedTypesIn(this.client, pg.escapeIdentifier(this.schema));
    } catch (error) {
      throw failure(error, this.schema);
    }
  }

  async claim(limit: number, last: number): Promise<Claim> {
    const { logId, id, former } = this.identity;
    if (!this.isRelay) {
      const { rowCount } = await this.query(this.takeSql, [logId, id, former ?? null]);
      this.isRelay = rowCount === 1;
      if (!this.isRelay) return nothingClaimed(false);
    } else {
      const { rows } = await this.query(this.dueSql, [id]);
      if (rows[0].is_relay === true && rows[0].is_due === false) return nothingClaimed(true);
    }
    const { rows } = await this.query(this.claimSql, [logId, id, limit, last]);
    const [row] = rows;
    this.isRelay = row.is_relay === true;
    const { events, stored, held, held_by: heldBy } = row;
    return { isRelay: this.isRelay, events, batch: Number(row.batch), stored, held: Math.max(0, held), heldBy };
  }

  async claimed(place: Place, bytes: number): Promise<Claimed> {
    const values = [this.identity.logId, place.batch, place.sequence, this.sliceRows, bytes];
    const { rows } = await this.query(this.claimedSql, values);
    // So many rows were added up for so many that fit: the next slice tries with about twice the latter.
    this.sliceRows = Math.min(slice.most, Math.max(slice.fewest, rows.length * 2));
    const placed = rows.map((row) => ({ ...row, batch: Number(row.batch), sequence: Number(row.sequence) }));
    return {
      events: placed.filter((row) => !row.is_orphan && !row.is_known).map(claimedEvent),
      orphans: placed.filter((row) => row.is_orphan).map(claimedRow),
      known: placed.filter((row) => row.is_known).map(claimedRow),
    };
  }

  async remove(rows: readonly Place[]): Promise<void> {
    if (rows.length === 0) return;
    await this.query(
      `delete from ${this.table} o using unnest($2::bigint[], $3::bigint[]) as gone (batch, sequence)
       where o.log_id = $1 and o.batch = gone.batch and o.sequence = gone.sequence returning ${durable}`,
      [this.identity.logId, rows.map(({ batch }) => batch), rows.map(({ sequence }) => sequence)],
    );
  }

  async setAside({ batch, sequence }: Place, reason: string): Promise<void> {
    const sql = `update ${this.table} set refused = $4 where log_id = $1 and batch = $2 and sequence = $3
      returning ${durable}`;
    await this.query(sql, [this.identity.logId, batch, sequence, tame(reason)]);
  }

  async countSetAside(): Promise<number> {
    const { rows } = await this.query(
      `select pg_catalog.count(*)::float8 as count from ${this.table} where refused is not null`,
      [],
    );
    return rows[0].count;
  }

  async settle(floor: number): Promise<void> {
    const sql = `delete from ${this.table} where log_id = $1 and position < $2::bigint and refused is null
      returning ${durable}`;
    await this.query(sql, [this.identity.logId, floor]);
  }

  async lastBatch(): Promise<number> {
    const sequence = `${pg.escapeIdentifier(this.schema)}.outbox_batch`;
    const { rows } = await this.query(`select case when is_called then last_value else 0 end as last from ${sequence}`);
    return Number(rows[0].last);
  }

  async doubtful(sequence: number, limit: number): Promise<DoubtfulRow[]> {
    const { rows } = await this.query(
      `select sequence, id::text as id from ${this.table}
       where (log_id is null or log_id = $1) and position is null and refused is null and sequence > $2::bigint
       order by sequence limit $3`,
      [this.identity.logId, sequence, limit],
    );
    return rows.map(({ sequence: number, id }) => ({ sequence: Number(number), id }));
  }

  async resolve(done: readonly { sequence: number; position: number }[]): Promise<void> {
    if (done.length === 0) return;
    await this.query(
      `update ${this.table} o set log_id = $1, position = done.position
       from unnest($2::bigint[], $3::bigint[]) as done (sequence, position)
       where o.sequence = done.sequence and o.position is null and (o.log_id is null or o.log_id = $1)
       returning ${durable}`,
      [this.identity.logId, done.map(({ sequence }) => sequence), done.map(({ position }) => position)],
    );
  }

  async restartBehind(batch: number): Promise<void> {
    const sequence = `${pg.escapeIdentifier(this.schema)}.outbox_batch`;
    await this.query(
      `with again as (
         update ${this.table} set log_id = null, batch = null
         where log_id = $1 and position is null and refused is null returning sequence
       ) select pg_catalog.setval(${pg.escapeLiteral(sequence)}, greatest($2::bigint, (select last_value from ${sequence}))),
           pg_catalog.count(*), ${durable} from again`,
      [this.identity.logId, batch],
    );
  }

  async close(): Promise<void> {
    await this.client.end().catch(() => {});
  }

  async resign(): Promise<void> {
    const sql = `update ${pg.escapeIdentifier(this.schema)}.outbox_relay set seen_at = '-infinity' where session = $1::uuid
      returning ${durable}`;
    if (this.isRelay) await this.query(sql, [this.identity.id]);
  }

  abort(): void {
    (this.client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  }

  private async query(text: string, values: unknown[] = []): Promise<pg.QueryResult> {
    try {
      return await this.client.query(text, values);
    } catch (error) {
      throw failure(error, this.schema);
    }
  }
}

const nothingClaimed = (isRelay: boolean): Claim => ({ isRelay, events: 0, batch: 0, stored: 0, held: 0, heldBy: [] });

const claimedRow = ({ batch, sequence, id }: ClaimedRow): ClaimedRow => ({ batch, sequence, id });

function claimedEvent(row: any): ClaimedEvent {
  return {
    batch: row.batch,
    sequence: row.sequence,
    id: row.id,
    aggregateType: row.aggregate_type,
    aggregateId: row.aggregate_id,
    version: row.version,
    type: row.event_type,
    schemaVersion: row.schema_version,
    occurredAt: Math.round(row.occurred_at),
    data: row.data,
    metadata: row.metadata,
  };
}
