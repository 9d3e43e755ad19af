// What the database keeps of one log's readers and of rows that are being built, for those who forget a handler. On a connection
// of its own, for a moment.
import pg from 'pg';
import type { RemoteTraces } from '../../../handler-state/state-adapter.ts';
import { checkOwnershipOfSession } from '../schema/recent-ownership.ts';
import { failure } from '../session/failure.ts';
import { lockNames, lockReadersSql, lockSql, removeLockSql } from '../session/locks.ts';
import type { PostgresSettings } from '../session/postgres.ts';
import { beginSql, lockTimeoutMs, openClient } from '../session/server-session.ts';
import { builtMark } from './row-table.ts';

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
      const sql = `select name, position::float8 as position from ${this.schema}.log_readers where log_id = $1`;
      const { rows } = await client.query(sql, [this.logId]);
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
        await client.query(lockSql(this.schema, lock));
        for (const table of await this.builtTables(client, projection!)) await client.query(`drop table ${table}`);
        await client.query(removeLockSql(this.schema, lock));
      }
      await client.query(lockReadersSql(this.schema), [this.logId]);
      const sql = `delete from ${this.schema}.log_readers where log_id = $1 and name = any($2)`;
      await client.query(sql, [this.logId, readers]);
      await client.query('commit');
    });
  }

  /** How long nothing has been heard of the log, milliseconds, by the server's clock; undefined: it is not known here. */
  silentMs(): Promise<number | undefined> {
    return this.connected(async (client) => {
      const { schema } = this;
      const { rows } = await client.query(
        `select pg_catalog.floor(extract(epoch from pg_catalog.clock_timestamp() - pg_catalog.max(at)) * 1000)::float8 as ms from (
           select updated_at as at from ${schema}.flush_checkpoints where log_id = $1
           union all select updated_at from ${schema}.event_handler_positions where log_id = $1
           union all select updated_at from ${schema}.log_readers where log_id = $1
           union all select seen_at from ${schema}.outbox_relay where log_id = $1) as seen`,
        [this.logId],
      );
      return rows[0].ms ?? undefined;
    });
  }

  /** Quoted, with their schemas. Only what carries the comment of a table that Trunkline has made for this projection. */
  private async builtTables(client: pg.Client, projection: string): Promise<string[]> {
    const { rows } = await client.query(
      `select pg_catalog.format('%I.%I', n.nspname, c.relname) as name from pg_catalog.pg_class c
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       where c.relkind in ('r', 'p') and pg_catalog.starts_with(pg_catalog.obj_description(c.oid, 'pg_class'), $1) order by 1`,
      [builtMark({ logId: this.logId, projection })],
    );
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
