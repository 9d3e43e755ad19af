// Every connection that this library opens, and what its session at the server is set to: roles and databases may set what
// our statements would otherwise print, read, wait and commit by. The only file that makes clients and pools.
//
// A pooler that hands one server connection to several clients keeps a few settings for each client and no others, so
// behind one only these few are set: anything else would be left to strangers. A connection is direct if the server process
// is the one that answered when it was opened. What must hold behind a pooler too is in `beginSql`, for each transaction; how
// statements outside of them are read there is in own-path.ts.
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
import { bringsPath, ownPath, sendOnOwnPath, setOwn } from './own-path.ts';

/** What a connection is for. */
export interface SessionUse {
  /** As the server shows it in pg_stat_activity. */
  readonly name: string;
  /** How long one statement may take, milliseconds; 0: without end. The server ends it, or if that hangs, the client. */
  readonly timeoutMs: number;
  /** It runs statements of the user's own, too: names without a schema are looked up as the role has it. */
  readonly isUsers?: boolean;
}

/** Poolers keep these for each of their clients. */
const keptByPoolers: Readonly<Record<string, string>> = {
  datestyle: 'ISO, MDY',
  timezone: 'UTC',
  standard_conforming_strings: 'on',
};

const settings: Readonly<Record<string, string>> = {
  intervalstyle: 'postgres',
  bytea_output: 'hex',
  extra_float_digits: '1',
  array_nulls: 'on',
  transform_null_equals: 'off',
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  default_transaction_deferrable: 'off',
  synchronous_commit: 'on',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0', // the user's: by their own bound, see beginSql
  idle_session_timeout: '0',
  transaction_timeout: '0', // since PostgreSQL 17; a setting that the server does not know is passed over
};

/**
 * How long a transaction of ours may stand idle, milliseconds; then the server ends its connection, and the transaction is
 * undone and done again. Between its statements ours never wait, except for a thread that is held up.
 */
export const silentMs = 5_000;

/** Seconds until the first question to a client that says nothing, between questions, and how many go unanswered. */
const keepalives: Readonly<Record<string, string>> = {
  tcp_keepalives_idle: '10',
  tcp_keepalives_interval: '5',
  tcp_keepalives_count: '3',
};

/** What only sessions without statements of the user's are set to: theirs may read slowly, and stand idle by their own bound. */
const ofSilence: Readonly<Record<string, string>> = {
  idle_in_transaction_session_timeout: String(silentMs),
  tcp_user_timeout: '60000', // unacknowledged bytes, milliseconds
};

/** Where only tables of ours are read and written: rows that a policy hides are an error, not a smaller result. */
const ofOwnStatements: Readonly<Record<string, string>> = { search_path: ownPath, row_security: 'off' };

/** The server ends a statement somewhat before the client gives up its connection. */
const serverShare = 0.9;
/** A wait for one lock ends well before the statement's time: so what another holds up is known from what is too slow by itself. */
const lockShare = 0.3;

/** For {@link beginSql}, where a statement that took too long is done again in smaller parts. `timeoutMs`: of a statement. */
export const lockTimeoutMs = (timeoutMs: number): number => Math.max(1, Math.floor(timeoutMs * lockShare));

/** Connections that no pooler shares. */
const direct = new WeakSet<pg.ClientBase>();

/**
 * An expression that makes the transaction's commit wait until it is on disk, whatever the role or the database says; what
 * is stronger stays. Within a single statement that writes and is a transaction of its own: `returning ${durable}`.
 */
export const durable = `case when pg_catalog.current_setting('synchronous_commit') operator(pg_catalog.<>) all ('{on,remote_apply}')
  then pg_catalog.set_config('synchronous_commit', 'on', true) end`;

/**
 * Begins a transaction of ours, whose commit is durable: what the role or the database says of transactions does not count.
 * `locals`: other settings until its end, as `name = value`.
 */
export const beginSql = (...locals: string[]): string => begin([setOwn], locals);

/** The same for a transaction in which statements of the user's run, too: by the role's own search_path. See own-path.ts. */
export const beginSharedSql = (...locals: string[]): string => begin([], locals);

function begin(first: readonly string[], locals: readonly string[]): string {
  const all = [idleFor(silentMs), ...locals]; // of two for the same setting the later one counts
  const set = all.map((local) => `set local ${local}`);
  return ['begin isolation level read committed read write', ...first, ...set, `select ${durable}`].join('; ');
}

/** For {@link beginSql}: how long the transaction may stand idle; Infinity: without end. */
export function idleFor(ms: number): string {
  return `idle_in_transaction_session_timeout = ${Number.isFinite(ms) ? Math.min(ms, 2 ** 31 - 1) : 0}`;
}

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
  await client.query(`close all; set session authorization default; reset all; deallocate all; unlisten *; discard temp;
    select pg_catalog.pg_advisory_unlock_all(); ${allSql(use)}`);
  // pg remembers by name which statements the server has.
  (client as unknown as { connection: { parsedStatements: object } }).connection.parsedStatements = {};
}

/** Whether the process that answers is the one that has been named when the connection was made; poolers name another. */
export function isDirect(client: object, pid: number): boolean {
  return (client as { processID?: number | null }).processID === pid;
}

async function setSession(client: pg.ClientBase, use: SessionUse): Promise<void> {
  const { rows } = await client.query('select pg_catalog.pg_backend_pid() as pid');
  if (isDirect(client, rows[0].pid)) direct.add(client);
  else if (!use.isUsers) bringsPath(client);
  await client.query(direct.has(client) ? allSql(use) : setSql(keptByPoolers));
}

const allSql = (use: SessionUse): string =>
  `${setSql(keptByPoolers, settingsFor(use))}; ${use.isUsers ? ownNamesFirst : ''}`;

// pg_catalog comes before all other schemas unless the path names it: our statements find the server's own functions.
const ownNamesFirst = `select pg_catalog.set_config('search_path', pg_catalog.ltrim(pg_catalog.regexp_replace(
    pg_catalog.current_setting('search_path'), '(^|,)[[:space:]]*"?pg_catalog"?[[:space:]]*(?=,|$)', '', 'g'), ', '), false)`;

function settingsFor({ isUsers, timeoutMs }: SessionUse): Record<string, string> {
  const statement_timeout = String(Math.floor(timeoutMs * serverShare));
  return { ...settings, ...keepalives, ...(!isUsers && { ...ofOwnStatements, ...ofSilence }), statement_timeout };
}

function setSql(...each: Readonly<Record<string, string>>[]): string {
  const wanted = each.flatMap((one) => Object.entries(one));
  const values = wanted.map(([name, value]) => `('${name}', '${value}')`).join();
  // remote_apply is stronger than what we need: it is kept where it was chosen.
  return `select pg_catalog.set_config(s.name, w.value, false) from (values ${values}) as w (name, value)
    join pg_catalog.pg_settings s on pg_catalog.lower(s.name) operator(pg_catalog.=) w.name
    where s.setting operator(pg_catalog.<>) w.value
      and not (w.name operator(pg_catalog.=) 'synchronous_commit' and s.setting operator(pg_catalog.=) 'remote_apply')`;
}

/**
 * Takes the password beside a connection string, too: pg's own client would go by the string's, even if that has none. Its
 * statements are read on our own path.
 */
class Client extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config);
    if (config?.password !== undefined) Object.assign(this, { password: config.password });
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
