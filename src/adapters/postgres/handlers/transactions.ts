// Transactions of handlers in PostgreSQL: what a handler does with the client, and the entry that says that it has been done,
// count together or not at all.
//
// Invariant: once it has ended, no code can use its connection by its client any more; so what comes too late from an attempt
// that was given up does not get into another's transaction.
import type pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { printAs } from '../../../base/one-line.ts';
import { shown } from '../../../base/shown.ts';
import { isThenable } from '../../../base/thenable.ts';
import type { Change, OwnTransaction } from '../../../handler-state/handler-state-store.ts';
import type { TransactionClient } from '../../../store/store.ts';
import { Slots } from '../../../subscriptions/slots.ts';
import { checkOwnershipOfSession } from '../schema/recent-ownership.ts';
import { failure } from '../session/failure.ts';
import { onOwnPath } from '../session/own-path.ts';
import type { PostgresSettings } from '../session/postgres.ts';
import { destroyClient, openPool, resetSession } from '../session/server-session.ts';
import { lockTimeoutMs, type SessionUse } from '../session/session-sql.ts';
import { codeOf, kindOf, mayPass } from '../session/sqlstate.ts';
import { executeEach } from '../session/statement.ts';
import type { EntryStatements } from './entries.ts';

export class HandlerTransactions {
  private readonly schema: string;
  private readonly statements: EntryStatements;
  private readonly pool: pg.Pool;
  private readonly use: SessionUse;
  private readonly slots: Slots;
  /** Connections of transactions that are open. */
  private readonly open = new Set<pg.PoolClient>();
  /** Connections that projections have used: triggers of their tables may have set something. Reset before a handler gets one. */
  private readonly unreset = new WeakSet<pg.PoolClient>();
  private isCut = false;

  constructor(settings: PostgresSettings, statements: EntryStatements, use: SessionUse, connections: number) {
    this.schema = settings.schema;
    this.statements = statements;
    this.use = use;
    this.pool = openPool(settings.connection, use, connections, settings.loadTimeoutMs, (client) =>
      checkOwnershipOfSession(onOwnPath(client), settings.schema),
    );
    this.slots = new Slots(connections);
  }

  async begin(entry: Change | undefined, longestMs: number, isOurs: boolean): Promise<OwnTransaction | 'taken'> {
    await this.slots.take();
    let client: pg.PoolClient | undefined;
    const end = async (isLost: boolean): Promise<void> => {
      await this.release(client, isLost, isOurs);
      this.slots.free();
    };
    try {
      client = await this.pool.connect();
      if (!isOurs && this.unreset.has(client)) await resetSession(client, this.use);
      this.unreset.delete(client);
      if (this.isCut) throw new TrunklineError('RuntimeClosed', { state: 'closed' });
      this.open.add(client);
      const locals = isOurs ? [`lock_timeout = ${lockTimeoutMs(this.use.timeoutMs)}`] : [];
      const begun = await executeEach(client, this.statements.beginWith(entry, longestMs, ...locals));
      const inserted = begun.find(({ command }) => command === 'INSERT');
      if (inserted?.rowCount !== 0) return new Transaction(client, this.statements, this.schema, end);
      await client.query('rollback');
      end(false);
      return 'taken';
    } catch (error) {
      end(true);
      throw failure(error, this.schema);
    }
  }

  close(): Promise<void> {
    return this.pool.end();
  }

  /** What is open is rolled back by the server; none is begun. */
  cut(): void {
    this.isCut = true;
    for (const client of this.open) destroyClient(client);
  }

  /** What the handler has set in the session is not left to the next one. */
  private async release(client: pg.PoolClient | undefined, isLost: boolean, isOurs: boolean): Promise<void> {
    if (client) this.open.delete(client);
    try {
      if (client && isOurs) this.unreset.add(client);
      else if (client && !isLost) await resetSession(client, this.use);
      client?.release(isLost);
    } catch {
      client?.release(true);
    }
  }
}

const inFailedTransaction = '25P02';

class Transaction implements OwnTransaction {
  readonly client: GuardedClient;
  private readonly connection: pg.PoolClient;
  private readonly statements: EntryStatements;
  private readonly schema: string;
  private readonly end: (isLost: boolean) => Promise<void>;

  constructor(
    connection: pg.PoolClient,
    statements: EntryStatements,
    schema: string,
    end: (isLost: boolean) => Promise<void>,
  ) {
    this.connection = connection;
    this.client = new GuardedClient(connection);
    this.statements = statements;
    this.schema = schema;
    this.end = end;
  }

  get isLost(): boolean {
    return this.client.isLost;
  }

  async commit(changes: readonly Change[]): Promise<void> {
    this.client.end();
    try {
      if (changes.length > 0) await this.statements.write(this.connection, changes);
      const { command } = await this.connection.query('commit');
      this.end(false);
      if (command === 'COMMIT') return;
    } catch (error) {
      this.end(true);
      if (codeOf(error) !== inFailedTransaction) throw mayPass(error) ? failure(error, this.schema) : error;
    }
    // To COMMIT in a transaction that an error has ended the server answers that it has rolled back.
    const reason = 'one of its statements had failed, and the handler went on';
    throw new TrunklineError('TransactionRolledBack', { reason });
  }

  rollback(): void {
    if (this.client.isEnded) return;
    this.client.end();
    if (this.client.isBusy) {
      this.end(true);
      return;
    }
    this.connection.query('rollback').then(
      () => this.end(false),
      () => this.end(true),
    );
  }
}

const endings = /^\s*(?:begin|start\s+transaction|commit|end|abort|prepare\s+transaction|rollback(?!\s+to\b))\b/i;

/** The client as the handler gets it: good for queries, until the transaction ends. */
class GuardedClient implements TransactionClient {
  private hasEnded = false;
  private hasLost = false;
  private pending = 0;
  private isStreaming = false;
  private readonly connection: pg.PoolClient;

  constructor(connection: pg.PoolClient) {
    this.connection = connection;
  }

  get isEnded(): boolean {
    return this.hasEnded;
  }

  get isLost(): boolean {
    return this.hasLost;
  }

  /** No query comes through from now on. */
  end(): void {
    this.hasEnded = true;
  }

  /** Something is in progress, or may be. */
  get isBusy(): boolean {
    return this.pending > 0 || this.isStreaming;
  }

  query(...args: any[]): any {
    if (this.isEnded) throw new Error('this attempt has ended: await what it starts before it returns');
    const text: unknown = typeof args[0] === 'string' ? args[0] : args[0]?.text;
    if (typeof text === 'string' && endings.test(text)) {
      const reason = 'begins or ends a transaction; this one is ended by what becomes of the handler';
      throw new TrunklineError('InvalidOptions', { option: 'tx.client query', value: shown(text), reason });
    }
    const result = (this.connection.query as (...args: any[]) => any)(...args);
    if (!isThenable(result)) {
      this.isStreaming = true; // a stream of the user's: its end is not known here
      return result;
    }
    this.pending++;
    return this.told(result);
  }

  private async told(result: PromiseLike<unknown>): Promise<unknown> {
    try {
      return await result;
    } catch (error) {
      if (isServersFault(error)) this.hasLost = true;
      throw error;
    } finally {
      this.pending--;
    }
  }
}

printAs(GuardedClient, ({ isEnded }) => `a client in a transaction that ${isEnded ? 'has ended' : 'is open'}`);

/** A statement that takes too long is the handler's fault, also if the server gives it up. */
const isServersFault = (error: unknown): boolean => kindOf(error) === 'away';
