// The outbox in PostgreSQL: opens its sessions. One connection of the runtime's own, used by the statement: nothing that
// decides is kept in the server's session, so a pooler may stand between.

import pg from 'pg';
import { performance } from '../../../base/clock.ts';
import { TrunklineError } from '../../../base/errors.ts';
import { randomUUID } from '../../../base/random.ts';
import type { Outbox, OutboxSession } from '../../../outbox/outbox.ts';
import { checkOwnershipOfSession } from '../schema/recent-ownership.ts';
import type { HiddenConnection } from '../session/connection.ts';
import { failure } from '../session/failure.ts';
import { openClient } from '../session/server-session.ts';
import { beginSql, durable } from '../session/session-sql.ts';
import { codeOf, lockNotAvailable } from '../session/sqlstate.ts';
import { PostgresOutboxSession, raisedTypesIn } from './relay-session.ts';

export interface PostgresOutboxSettings {
  connection: HiddenConnection;
  schema: string;
  logId: string;
  /** Types whose events this runtime's actors raise. */
  actorTypes: readonly string[];
  /** How long transactions that were open when a door was closed are waited for, milliseconds; default 10,000. */
  patienceMs?: number;
}

const queryTimeoutMs = 30_000; // a connection that hangs for longer is given up
const lockTimeoutMs = 1_000; // meanwhile others that write events wait behind it
const patienceMs = 10_000; // then the relay begins all the same

export class PostgresOutbox implements Outbox {
  raisedTypes: ReadonlySet<string> = new Set();
  private readonly settings: PostgresOutboxSettings;
  private readonly schema: string;
  /** The session before: its place is taken at once, without waiting until its time is over. */
  private former: string | undefined;
  /** Types whose door this one has closed, and of which a transaction that is still open may have written events before. */
  private readonly unsettled = new Set<string>();
  private closedAt = 0;

  constructor(settings: PostgresOutboxSettings) {
    this.settings = settings;
    this.schema = pg.escapeIdentifier(settings.schema);
  }

  async open(signal?: AbortSignal): Promise<OutboxSession> {
    const { connection, schema, actorTypes, logId } = this.settings;
    let client: pg.Client | undefined;
    try {
      client = await openClient(connection, { name: 'trunkline relay', timeoutMs: queryTimeoutMs }, signal);
      await checkOwnershipOfSession(client, schema);
      this.raisedTypes = await raisedTypesIn(client, this.schema); // before what may be waited for
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
   * Close the transactions' door to the actors' types, unless a transaction has gone through it. The door is closed at once:
   * who holds a transaction open that writes events holds up no more than the look at what had come through before. A type that
   * another runtime has registered, and not looked at yet, is looked at here, too: none begins before one of them has.
   */
  private async register(client: pg.Client, types: readonly string[]): Promise<void> {
    const { schema, unsettled } = this;
    const { rows: missing } = await client.query(
      `select type from pg_catalog.unnest($1::text[]) as type where not exists (
        select from ${schema}.actor_types where aggregate_type = type and is_settled) order by type collate "C"`,
      [types],
    );
    for (const { type } of missing) {
      const { rowCount } = await client.query(
        `with used as (select from ${schema}.aggregates where aggregate_type = $1 and log_id is null limit 1)
        insert into ${schema}.actor_types (aggregate_type) select $1 where not exists (select from used)
        on conflict (aggregate_type) do update set aggregate_type = excluded.aggregate_type returning ${durable}`,
        [type],
      );
      if (rowCount === 0) throw inUse(type);
      if (unsettled.has(type)) continue;
      unsettled.add(type);
      this.closedAt = performance.now();
    }
    if (unsettled.size > 0) await this.settle(client);
  }

  /**
   * A transaction that writes events reads `actor_types` first, and holds its lock until it ends: behind ours there is none
   * that had read it before the door was closed. One that does not end is not waited for without end: what it still writes is an
   * aggregate of its own, which the flush of a log refuses or takes as a whole. In one query, whatever else this thread does.
   */
  private async settle(client: pg.Client): Promise<void> {
    const { schema, unsettled } = this;
    const types = [...unsettled].map((type) => pg.escapeLiteral(type)).join();
    const used = `select from ${schema}.aggregates a where a.aggregate_type = t.aggregate_type and a.log_id is null`;
    const takeBack = `delete from ${schema}.actor_types t where not is_settled and aggregate_type in (${types}) and exists (${used})`;
    // Taken back here, or by another runtime meanwhile.
    const settled = `update ${schema}.actor_types set is_settled = true where not is_settled and aggregate_type in (${types});
      select type from pg_catalog.unnest(array[${types}]::text[]) as type
        where not exists (select from ${schema}.actor_types where aggregate_type = type)`;
    let results: unknown;
    try {
      results = await client.query(`${beginSql(`lock_timeout = ${lockTimeoutMs}`)};
        lock table ${schema}.actor_types in access exclusive mode; ${takeBack}; ${settled}; commit`);
    } catch (error) {
      const isEarly = performance.now() - this.closedAt < (this.settings.patienceMs ?? patienceMs);
      if (isEarly || codeOf(error) !== lockNotAvailable) throw error;
      // Not looked at again: by then actors of the type may have raised events.
      results = await client.query(`rollback; ${beginSql()}; ${settled}; commit`);
    }
    unsettled.clear();
    const [lacking] = (results as pg.QueryResult[]).at(-2)!.rows;
    if (lacking) throw inUse(lacking.type);
  }
}

function inUse(aggregateType: string): TrunklineError {
  const reason = 'transactions have written events of this type; actors must use another';
  return new TrunklineError('AggregateTypeOwnedElsewhere', { aggregateType, reason });
}
