// What the database keeps of one log's readers and of rows that are being built, for those who forget a handler. On a connection
// of its own, for a moment.
import pg from 'pg';
import type { RemoteTraces } from '../../../handler-state/state-adapter.ts';
import { checkOwnershipOfSession } from '../schema/recent-ownership.ts';
import { failure } from '../session/failure.ts';
import { lockNames, lockSql, removeLockSql } from '../session/locks-sql.ts';
import type { PostgresSettings } from '../session/postgres.ts';
import { openClient } from '../session/server-session.ts';
import { beginSql, lockTimeoutMs } from '../session/session-sql.ts';
import { execute } from '../session/statement.ts';
import { lockReadersStatement, readersStatement, removeReadersStatement } from './log-readers-sql.ts';
import { builtMark } from './row-table.ts';
import { dropSql, markedStatement, silenceStatement } from './traces-sql.ts';

export class PostgresTraces implements RemoteTraces {
  private readonly settings: PostgresSettings;
  private readonly logId: string;
  private readonly schema: string;

  constructor(settings: PostgresSettings, logId: string) {
    this.settings = settings;
    this.logId = logId;
    this.schema = pg.escapeIdentifier(settings.schema);
  }

  readers(): Promise<ReadonlyMap<string, number>> {
    return this.connected(async (client) => {
      const rows = await readersStatement(this.schema).run(client, { logId: this.logId });
      return new Map(rows.map(({ name, position }) => [name, position]));
    });
  }

  built(projection: string): Promise<readonly string[]> {
    return this.connected((client) => this.builtTables(client, projection));
  }

  /** In the order in which a running projection and `LogReaders` lock: the projection, its tables, readers by their names. */
  remove(projection: string | undefined, readers: readonly string[]): Promise<void> {
    return this.connected(async (client) => {
      const lock = projection === undefined ? undefined : lockNames.projection(this.logId, projection);
      await client.query(beginSql(`lock_timeout = ${lockTimeoutMs(this.settings.statementTimeoutMs)}`));
      if (lock !== undefined) {
        await execute(client, lockSql(this.schema, lock));
        for (const table of await this.builtTables(client, projection!)) await execute(client, dropSql(table));
        await execute(client, removeLockSql(this.schema, lock));
      }
      const { schema, logId } = this;
      await lockReadersStatement(schema).count(client, { logId });
      await removeReadersStatement(schema).count(client, { logId, names: readers });
      await client.query('commit');
    });
  }

  /** How long nothing has been heard of the log, milliseconds, by the server's clock; undefined: it is not known here. */
  silentMs(): Promise<number | undefined> {
    return this.connected(async (client) => {
      const { ms } = await silenceStatement(this.schema).one(client, { logId: this.logId });
      return ms ?? undefined;
    });
  }

  /** Quoted, with their schemas. Only what carries the comment of a table that Trunkline has made for this projection. */
  private async builtTables(client: pg.Client, projection: string): Promise<string[]> {
    const rows = await markedStatement.run(client, { mark: builtMark({ logId: this.logId, projection }) });
    return rows.map(({ name }) => name);
  }

  private async connected<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const { connection, schema, statementTimeoutMs: timeoutMs } = this.settings;
    let client: pg.Client | undefined;
    try {
      client = await openClient(connection, { name: 'trunkline forget', timeoutMs });
      await checkOwnershipOfSession(client, schema);
      return await work(client);
    } catch (error) {
      throw failure(error, schema);
    } finally {
      await client?.end().catch(() => {});
    }
  }
}
