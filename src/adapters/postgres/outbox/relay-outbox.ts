// The outbox in PostgreSQL: opens its sessions. One connection of the runtime's own, used by the statement: nothing that
// decides is kept in the server's session, so a pooler may stand between.

import pg from 'pg';
import { performance } from '../../../base/clock.ts';
import { TrunklineError } from '../../../base/errors.ts';
import { randomUUID } from '../../../base/random.ts';
import type { Outbox, OutboxSession } from '../../../outbox/outbox.ts';
import { lockTryMs } from '../schema/lock-events.ts';
import { checkOwnershipOfSession } from '../schema/recent-ownership.ts';
import type { HiddenConnection } from '../session/connection.ts';
import { failure } from '../session/failure.ts';
import { openClient } from '../session/server-session.ts';
import { codeOf, lockNotAvailable } from '../session/sqlstate.ts';
import { executeEach } from '../session/statement.ts';
import {
  closeStatement,
  missingStatement,
  settleSql,
  settleUnseenSql,
  takenBackStatement,
} from './relay-outbox-sql.ts';
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
    for (const { type } of await missingStatement(schema).run(client, { types })) {
      const closed = await closeStatement(schema).count(client, { type });
      if (closed === 0) throw inUse(type);
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
    const takenBack = takenBackStatement(schema, unsettled);
    let results: pg.QueryResult<object>[];
    try {
      results = await executeEach(client, settleSql(schema, unsettled, lockTryMs));
    } catch (error) {
      const isEarly = performance.now() - this.closedAt < (this.settings.patienceMs ?? patienceMs);
      if (isEarly || codeOf(error) !== lockNotAvailable) throw error;
      // Not looked at again: by then actors of the type may have raised events.
      results = await executeEach(client, settleUnseenSql(schema, unsettled));
    }
    unsettled.clear();
    const [lacking] = takenBack.rowsIn(results.at(-2)!);
    if (lacking) throw inUse(lacking.type);
  }
}

function inUse(aggregateType: string): TrunklineError {
  const reason = 'transactions have written events of this type; actors must use another';
  return new TrunklineError('AggregateTypeOwnedElsewhere', { aggregateType, reason });
}
