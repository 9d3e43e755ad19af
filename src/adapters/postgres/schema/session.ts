// One connection of a thread's own, with its errors in our words. Given up rather than mended: a thread that has lost it opens
// another.
import type pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { revealed } from '../../../base/hidden.ts';
import type { HiddenConnection } from '../session/connection.ts';
import { endsConnection, failure, storeName } from '../session/failure.ts';
import { destroyClient, openClient } from '../session/server-session.ts';
import { isServerError } from '../session/sqlstate.ts';
import { readMigrations, versionOf } from './migrations.ts';
import { checkOwnershipOfSession } from './recent-ownership.ts';
import { serverStatement } from './session-sql.ts';
import { checkTables } from './tables.ts';

export interface SessionSettings {
  readonly connection: HiddenConnection;
  readonly schema: string;
  /** How long one statement may take, milliseconds; then the connection is given up. */
  readonly timeoutMs: number;
  readonly name: string;
}

export class Session {
  readonly client: pg.Client;
  private broken = false;

  private constructor(client: pg.Client) {
    this.client = client;
    client.on('error', () => {
      this.broken = true;
    });
    client.on('end', () => {
      this.broken = true;
    });
  }

  /** `signal` lets go of it permanently. @throws StoreUnavailable, StoreAccessDenied, StoreSchemaMissing */
  static async open(settings: SessionSettings, signal?: AbortSignal): Promise<Session> {
    const { schema, timeoutMs, name } = settings;
    const connection = revealed(settings.connection);
    const connectionTimeoutMillis = Math.min(timeoutMs, connection.connectionTimeoutMillis ?? timeoutMs);
    try {
      return new Session(await openClient({ ...connection, connectionTimeoutMillis }, { name, timeoutMs }, signal));
    } catch (error) {
      throw failure(error, schema);
    }
  }

  /** Whether it can be used no more. */
  get isBroken(): boolean {
    return this.broken;
  }

  /** After an error: only what the server itself has said leaves the connection in a known state. */
  failed(error: unknown): void {
    if (!isServerError(error) || endsConnection(error)) this.destroy();
  }

  /** Let go at once, whatever is in progress; the server rolls back. */
  destroy(): void {
    this.broken = true;
    destroyClient(this.client);
  }

  async close(): Promise<void> {
    if (this.broken) return;
    await this.client.end().catch(() => {});
  }
}

/**
 * Refuse a schema that this release did not make, or not whole, or into which others can put something.
 * @throws StoreSchemaMissing, StoreSchemaNewer, StoreSchemaMismatch, StoreSchemaUnsafe, StoreUnavailable
 */
export async function checkSchema(client: pg.ClientBase, schema: string): Promise<void> {
  await checkServer(client);
  await checkOwnershipOfSession(client, schema); // before anything there is read: a table can run its owner's functions
  const known = await readMigrations();
  const version = await versionOf(client, schema, known);
  if (version < known.length) {
    const reason = version === 0 ? 'it has no tables of ours' : `it is at migration ${version} of ${known.length}`;
    throw new TrunklineError('StoreSchemaMissing', { schema, reason });
  }
  await checkTables(client, schema);
}

const oldestVersion = 15;

/** What no migration changes. @throws StoreUnsuitable */
export async function checkServer(client: pg.ClientBase): Promise<void> {
  const { encoding, version } = await serverStatement.one(client, {});
  const major = Math.floor(version / 10_000);
  const reason =
    major < oldestVersion
      ? `the server is PostgreSQL ${major}, and must be ${oldestVersion} or newer`
      : encoding !== 'UTF8'
        ? `the database's encoding is ${encoding}, and must be UTF8`
        : undefined;
  if (reason !== undefined) throw new TrunklineError('StoreUnsuitable', { store: storeName, reason });
}
