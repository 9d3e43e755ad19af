// The handlers' tables in PostgreSQL. Commits have a connection of their own, reads a few, transactions of handlers others:
// a holder of one of these never waits for one of those. Owned by the host thread.
//
// Invariants: a commit is one transaction, and may be repeated as a whole if its outcome is unknown; one at a time. Nothing is
// read before the last commit of a run that was killed has ended at the server: it may be in progress when the next one starts.
// A checkpoint that is found further back than this run has put it is an earlier state of the database (`StoreBehind`).
import pg from 'pg';
import { onAbort } from '../../../base/on-abort.ts';
import type {
  Change,
  Entry,
  HandlerStateStore,
  KeyRange,
  OnRefused,
  OwnTransaction,
} from '../../../handler-state/handler-state-store.ts';
import { checkOwnershipOfSession } from '../schema/recent-ownership.ts';
import { checkSchema, Session } from '../schema/session.ts';
import { failure, refusesData } from '../session/failure.ts';
import { type Guard, guard } from '../session/guard.ts';
import { lockNames, lockSql } from '../session/locks-sql.ts';
import { onOwnPath } from '../session/own-path.ts';
import type { PostgresSettings } from '../session/postgres.ts';
import { openPool } from '../session/server-session.ts';
import { lockTimeoutMs, type SessionUse } from '../session/session-sql.ts';
import { execute } from '../session/statement.ts';
import { EntryStatements } from './entries.ts';
import { beginCommitSql, part, passLockSql } from './entries-sql.ts';
import { HandlerTransactions } from './transactions.ts';

const readConnections = 4;
const name = 'trunkline handlers';

export class PostgresTables implements HandlerStateStore {
  readonly logId: string;
  readonly schema: string;
  readonly statementTimeoutMs: number;
  private readonly settings: PostgresSettings;
  private readonly statements: EntryStatements;
  private readonly reading: pg.Pool;
  private readonly guard: Guard;
  private readonly transactions: HandlerTransactions;
  private session: Session | undefined;
  private readonly cutting = new AbortController();
  /** No earlier run's commit is in progress any more. */
  private isSettled = false;

  /** `connections`: most transactions of handlers at a time. Connects when it is first needed. */
  constructor(settings: PostgresSettings, logId: string, connections: number) {
    this.settings = settings;
    this.logId = logId;
    this.schema = settings.schema;
    this.statementTimeoutMs = settings.statementTimeoutMs;
    this.statements = new EntryStatements(settings.schema, logId);
    this.guard = guard(settings.schema);
    this.reading = openPool(settings.connection, useOf(settings), readConnections, settings.loadTimeoutMs, (client) =>
      checkOwnershipOfSession(onOwnPath(client), settings.schema),
    );
    this.transactions = new HandlerTransactions(settings, this.statements, useOf(settings), connections);
  }

  /** Held to the end of a transaction that moves a projection's rows. */
  projectionLock(projection: string): string {
    return lockSql(pg.escapeIdentifier(this.schema), lockNames.projection(this.logId, projection));
  }

  get(table: string, key: string): Promise<string | undefined> {
    return this.read((client) => this.statements.get(client, table, key));
  }

  range(table: string, range: KeyRange): Promise<Entry[]> {
    return this.read((client) => this.statements.range(client, table, range));
  }

  /** @throws StoreUnavailable */
  read<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    return this.guard(async () => {
      const client = await this.reading.connect();
      let isLost = true;
      try {
        if (!this.isSettled) await execute(client, passLockSql(this.statements.lock));
        this.isSettled = true;
        const result = await work(client);
        isLost = false;
        return result;
      } finally {
        client.release(isLost);
      }
    });
  }

  /** One at a time. */
  async commit(changes: readonly Change[], onRefused: OnRefused): Promise<void> {
    const session = await this.connected();
    const { client } = session;
    const refused: [Change, Error][] = [];
    try {
      const locals = `lock_timeout = ${lockTimeoutMs(this.settings.statementTimeoutMs)}`;
      await execute(client, beginCommitSql(this.statements.lock, locals));
      await this.writeWhatGoes(client, changes, refused);
      await client.query('commit');
      const isRefused = new Set(refused.map(([change]) => change));
      this.statements.committed(changes.filter((change) => !isRefused.has(change)));
      for (const [change, error] of refused) onRefused(change, failure(error, this.settings.schema));
    } catch (error) {
      session.destroy();
      throw failure(error, this.settings.schema);
    }
  }

  /** What the server refuses of them is halved until single changes stand alone. Behind the savepoint `part`. */
  private async writeWhatGoes(
    client: pg.ClientBase,
    changes: readonly Change[],
    refused: [Change, Error][],
  ): Promise<void> {
    try {
      await this.statements.write(client, changes);
    } catch (error) {
      if (!refusesData(error)) throw error;
      await execute(client, part.undo);
      if (changes.length === 1) {
        refused.push([changes[0]!, error as Error]);
        return;
      }
      const middle = changes.length >> 1;
      for (const half of [changes.slice(0, middle), changes.slice(middle)]) {
        await this.writeWhatGoes(client, half, refused);
        await execute(client, part.begin);
      }
    }
  }

  begin(entry: Change | undefined, longestMs: number, isOurs: boolean): Promise<OwnTransaction | 'taken'> {
    return this.transactions.begin(entry, longestMs, isOurs);
  }

  private async connected(): Promise<Session> {
    if (this.session !== undefined && !this.session.isBroken) return this.session;
    const { connection, schema, statementTimeoutMs } = this.settings;
    const session = await Session.open(
      { connection, schema, timeoutMs: statementTimeoutMs, name },
      this.cutting.signal,
    );
    try {
      await checkSchema(session.client, schema);
    } catch (error) {
      session.destroy();
      throw failure(error, schema);
    }
    this.session = session;
    return session;
  }

  async close(): Promise<void> {
    const closed = Promise.all([this.session?.close(), this.reading.end(), this.transactions.close()]);
    const cut = new Promise<void>((resolve) => {
      onAbort(this.cutting.signal, resolve);
    });
    await Promise.race([closed, cut]);
  }

  cut(): void {
    this.cutting.abort();
    this.transactions.cut();
  }
}

function useOf({ statementTimeoutMs }: PostgresSettings): SessionUse {
  return { name, timeoutMs: statementTimeoutMs, isUsers: true };
}
