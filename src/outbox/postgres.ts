// The outbox in PostgreSQL: opens its sessions. One connection of the runtime's own, used by the statement: nothing that
// decides is kept in the server's session, so a pooler may stand between.
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { TrunklineError } from '../errors.ts';
import type { HiddenConnection } from '../store/postgres/connection.ts';
import { failure } from '../store/postgres/failure.ts';
import { beginSql, openClient } from '../store/postgres/server-session.ts';
import type { Outbox, OutboxSession } from './outbox.ts';
import { PostgresOutboxSession } from './postgres-session.ts';

export interface PostgresOutboxSettings {
  connection: HiddenConnection;
  schema: string;
  logId: string;
  /** Types whose events this runtime's actors raise. */
  actorTypes: readonly string[];
}

const queryTimeoutMs = 30_000; // a connection that hangs for longer is given up
const lockTimeoutMs = 1_000; // meanwhile others that write events wait behind it

export class PostgresOutbox implements Outbox {
  private readonly settings: PostgresOutboxSettings;
  private readonly schema: string;
  /** The session before: its place is taken at once, without waiting until its time is over. */
  private former: string | undefined;

  constructor(settings: PostgresOutboxSettings) {
    this.settings = settings;
    this.schema = pg.escapeIdentifier(settings.schema);
  }

  async open(signal?: AbortSignal): Promise<OutboxSession> {
    const { connection, schema, actorTypes, logId } = this.settings;
    let client: pg.Client | undefined;
    try {
      client = await openClient(connection, { name: 'trunkline relay', timeoutMs: queryTimeoutMs }, signal);
      await this.register(client, actorTypes);
    } catch (error) {
      client?.end().catch(() => {});
      throw failure(error, schema);
    }
    const id = randomUUID();
    const session = new PostgresOutboxSession(client, schema, { logId, id, former: this.former });
    this.former = id;
    return session;
  }

  /**
   * Close the transactions' door to the actors' types, unless a transaction has gone through it. Whoever writes events reads
   * `actor_types` first, and holds its lock until its transaction ends: behind ours there is none that is still open.
   */
  private async register(client: pg.Client, types: readonly string[]): Promise<void> {
    const { schema } = this;
    const { rows: missing } = await client.query(
      `select type from pg_catalog.unnest($1::text[]) as type where not exists (
        select from ${schema}.actor_types where aggregate_type = type)`,
      [types],
    );
    if (missing.length === 0) return;
    await client.query(
      `${beginSql(`lock_timeout = ${lockTimeoutMs}`)}; lock table ${schema}.actor_types in access exclusive mode`,
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
    await client.query('commit');
  }
}
