// Every connection that this library opens; its session at the server is set as session-sql.ts says. The only file that makes
// clients and pools.
//
// A connection is direct if the server process is the one that answered when it was opened. Behind a pooler only the few settings
// that it keeps for each client are set: anything else would be left to strangers. How statements outside of transactions are read
// there is in own-path.ts.
//
// A machine may disappear without a word (power, network, a suspended guest), and its transaction would keep its locks for as
// long as the server believes in the connection: two hours by the defaults of TCP. So no transaction of ours stands idle for
// longer than `silentMs`, and the server's kernel asks after every client of ours that says nothing.
import pg from 'pg';
import { guarded } from '../../../base/guarded.ts';
import { revealed } from '../../../base/hidden.ts';
import { onAbort } from '../../../base/on-abort.ts';
import { secretText } from '../../../base/secrets.ts';
import type { HiddenConnection } from './connection.ts';
import { bringsPath, sendOnOwnPath } from './own-path.ts';
import { allSql, pooledSql, processStatement, resetSql, type SessionUse } from './session-sql.ts';
import { execute } from './statement.ts';

/** Connections that no pooler shares. */
const direct = new WeakSet<pg.ClientBase>();

/** A connected client, its session set. Rejects with what the server or the client says. `signal` lets go of it permanently. */
export async function openClient(
  connection: HiddenConnection,
  use: SessionUse,
  signal?: AbortSignal,
): Promise<pg.Client> {
  signal?.throwIfAborted(); // a socket that has not begun cannot be ended
  const client = new Client(configFor(connection, use, revealed(connection).connectionTimeoutMillis ?? 0));
  client.on('error', () => {}); // the query in progress rejects
  const ended = guarded(onAbort(signal, () => destroyClient(client))); // the signal may outlive many clients
  client.once('end', ended);
  try {
    await client.connect();
    await setSession(client, use);
    return client;
  } catch (error) {
    destroyClient(client);
    throw error;
  }
}

/** A pool whose connections are set, and looked at by `check`, before they are handed out. */
export function openPool(
  connection: HiddenConnection,
  use: SessionUse,
  max: number,
  connectMs: number,
  check: (client: pg.ClientBase) => Promise<void> = async () => {},
): pg.Pool {
  const pool = new pg.Pool({
    ...configFor(connection, use, connectMs),
    Client,
    max,
    connectionTimeoutMillis: connectMs,
    allowExitOnIdle: true,
    onConnect: (async (client: pg.ClientBase) => {
      await setSession(client, use);
      await check(client);
    }) as unknown as (client: pg.ClientBase) => undefined, // a promise, which pg-pool awaits
  });
  Object.defineProperty(pool, 'options', { enumerable: false }); // they hold the connection string
  pool.on('error', () => {}); // an idle connection was lost: the next one is opened again
  pool.on('connect', (client) => client.on('error', () => {})); // one in use: its next query rejects
  return pool;
}

/** Let go at once, whatever is in progress; the server rolls back. */
export function destroyClient(client: pg.ClientBase): void {
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}

/**
 * Put a session that statements of the user's have used back to what `openClient` has made of it: settings, role, cursors,
 * prepared statements, temporary tables, locks, listening. Between transactions only.
 */
export async function resetSession(client: pg.ClientBase, use: SessionUse): Promise<void> {
  if (!direct.has(client)) return; // what a pooler shares, it resets by its own rules
  await execute(client, `${resetSql}; ${allSql(use)}`);
  // pg remembers by name which statements the server has.
  (client as unknown as { connection: { parsedStatements: object } }).connection.parsedStatements = {};
}

/** Whether the process that answers is the one that has been named when the connection was made; poolers name another. */
export function isDirect(client: object, pid: number): boolean {
  return (client as { processID?: number | null }).processID === pid;
}

async function setSession(client: pg.ClientBase, use: SessionUse): Promise<void> {
  const { pid } = await processStatement.one(client, {});
  if (isDirect(client, pid)) direct.add(client);
  else if (!use.isUsers) bringsPath(client);
  await execute(client, direct.has(client) ? allSql(use) : pooledSql);
}

/**
 * Takes the password beside a connection string, too: pg's own client would go by the string's, even if that has none. Its
 * statements are read on our own path. A connection that fails in the middle is let go: pg and its pool leave the socket of one
 * without a password open, and until its authentication times out (a minute) the server counts it, and DROP DATABASE waits for it.
 */
class Client extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config);
    if (config?.password !== undefined) Object.assign(this, { password: config.password });
  }

  /** pg-pool gives a callback. */
  override connect(callback?: any): any {
    if (callback === undefined) return super.connect();
    return super.connect((error: Error | null) => {
      if (error !== null && error !== undefined) destroyClient(this);
      callback(error);
    });
  }

  override query(...asked: any[]): any {
    return sendOnOwnPath(this, (...sent) => (super.query as (...sent: any[]) => any)(...sent), asked);
  }
}

function configFor(connection: HiddenConnection, { name, timeoutMs }: SessionUse, connectMs: number): pg.ClientConfig {
  const { password, ...parts } = revealed(connection);
  return {
    ...parts,
    // Called when the connection authenticates: once for each.
    ...(password !== undefined && { password: () => secretText(password, connectMs) }),
    application_name: name,
    keepAlive: true,
    ...(timeoutMs > 0 && { query_timeout: timeoutMs }),
  };
}
