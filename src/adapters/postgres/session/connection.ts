// How to reach PostgreSQL, as users say it. No type of the client library's is in what they see.

import { checkRecord, checkTls, invalid, isLoopback, isOpenTls, nameFault } from '../../../base/checks.ts';
import { Hidden, revealed } from '../../../base/hidden.ts';
import { given } from '../../../base/known-fields.ts';
import type { Secret } from '../../../base/secrets.ts';
import { checkParts, checkWords, tlsWordIn } from './connection-words.ts';

/** How to reach PostgreSQL: `postgres://…`, or its parts. Other options of the `pg` client are handed to it as they are. */
export type Connection = string | ConnectionParts;

/** The parts of a connection string, for callers that have them one by one. */
export interface ConnectionParts {
  connectionString?: string | undefined;
  host?: string | undefined;
  port?: number | undefined;
  user?: string | undefined;
  /** Or a function that gives the one of now, called for each connection, so that it can rotate. */
  password?: Secret | undefined;
  database?: string | undefined;
  /** As for Node's `tls.connect`; true: by its defaults. */
  ssl?: boolean | object | undefined;
  application_name?: string | undefined;
  /** Milliseconds; default 10,000. */
  connectionTimeoutMillis?: number | undefined;
}

/** As it is kept: in the thread of the options hidden, in others as it was sent. */
export type HiddenConnection = ConnectionParts | Hidden<ConnectionParts>;

export const defaultSchema = 'trunkline';

/**
 * Marks in migrations that are replaced after the schema's name has come in: within it they would be, too. `@home` itself is
 * replaced first.
 */
export const migrationMarks: readonly string[] = [
  ...['@name', '@door', '@sequence', '@one', '@several', '@checkpoints', '@outbox', '@rights'],
];

/** PostgreSQL cuts longer names off in silence, and keeps those that begin with pg_ for itself. @throws InvalidOptions */
export function checkSchemaName(schema: unknown): asserts schema is string {
  if (typeof schema !== 'string' || nameFault(schema, 63) !== undefined) {
    invalid('schema', schema, 'must be 1 to 63 bytes of text without control characters or half characters');
  }
  if (schema.startsWith('pg_')) invalid('schema', schema, 'must not begin with pg_, as the names of the server do');
  const mark = migrationMarks.find((one) => schema.includes(one));
  if (mark !== undefined)
    invalid('schema', schema, `must not hold ${mark}, which migrations put other texts in the place of`);
}

/** A name within a statement. (The client library has the same; this file is loaded by who needs no client.) */
export const quotedName = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/**
 * What `pg` is given. A connection that names no server is refused: `pg` would take PGHOST, or this machine, and a
 * variable that is not set would change a database that was not named.
 * @throws InvalidOptions, without the connection: it may hold a password
 */
export function configOf(connection: Connection): HiddenConnection {
  if (typeof connection !== 'string') checkRecord('connection', connection);
  else if (connection === '') invalid('connection', connection, 'must be postgres://…, or its parts');
  const parts = typeof connection === 'string' ? { connectionString: connection } : connection;
  checkParts('connection', parts);
  const { connectionString, host } = parts ?? {};
  if (connectionString !== undefined) checkConnectionString('connection', connectionString);
  else if (typeof host !== 'string' || host === '') {
    invalid('connection', connection, 'must be postgres://…, or name a host');
  }
  checkCredentials('connection', parts);
  return withDefaults(parts);
}

/**
 * Refuse what the client library could not read, or would read in another way than it was meant: with a `/`, `?` or `#` in
 * it, a part of a password becomes the name of a database or a setting, which errors name.
 * @throws InvalidOptions
 */
export function checkConnectionString(option: string, text: unknown): void {
  if (typeof text !== 'string' || !/^postgres(ql)?:\/\//.test(text)) {
    return invalid(option, text, 'must begin with postgres://');
  }
  const url = urlOf(text);
  const isMistaken =
    url === null || url.hash !== '' || (url.pathname + (url.pathname === '' ? url.search : '')).includes('@');
  if (isMistaken || !isDecodable(url.username) || !isDecodable(url.password)) {
    invalid(
      option,
      text,
      'must be postgres://user:password@host:port/database; write % / ? # @ of a password as %25 %2F %3F %23 %40',
    );
  }
  if (unreadEscape.test(url!.pathname)) {
    invalid(
      option,
      text,
      'has the name of a database with a sign that the client library does not read when it is escaped: ' +
        'write ; / : & = + $ , as they are; a name with ? # or @ needs a pool of your own',
    );
  }
  checkWords(option, url!.searchParams);
}

/** What `decodeURI` leaves as it is: the client library, which reads the database's name by it, would name another database. */
const unreadEscape = /%(?:23|24|26|2b|2c|2f|3a|3b|3d|3f|40)/i;

/** As the client library reads it: a host may be missing, where a socket's folder is named behind the `?`. */
export function urlOf(connectionString: string): URL | null {
  return URL.parse(connectionString) ?? URL.parse(connectionString.replace('@/', '@host/'));
}

function isDecodable(text: string): boolean {
  try {
    return decodeURIComponent(text) !== undefined;
  } catch {
    return false;
  }
}

export function withDefaults(parts: ConnectionParts): HiddenConnection {
  return new Hidden({ connectionTimeoutMillis: 10_000, application_name: 'trunkline', ...given(parts) });
}

/**
 * A password is text or a function; TLS is said in one place.
 * @throws InvalidOptions, without what was given
 */
export function checkCredentials(option: string, { connectionString, password, ssl }: ConnectionParts): void {
  // Its value is not shown, be it a number.
  if (password !== undefined && typeof password !== 'string' && typeof password !== 'function') {
    invalid(`${option}.password`, undefined, 'must be text, or a function that gives it');
  }
  if (ssl === undefined) return;
  checkTls(`${option}.ssl`, ssl);
  const inString = connectionString === undefined ? undefined : urlOf(connectionString)?.searchParams;
  const name = inString && tlsWordIn(inString);
  if (name !== undefined) {
    invalid(`${option}.ssl`, undefined, `the connection string has ${name}, which counts instead: keep one of the two`);
  }
}

/** Another machine that is reached without TLS, or without a check that it is the one meant; undefined: there is none. */
export function openHost(connection: HiddenConnection): string | undefined {
  const { connectionString, host, ssl } = revealed(connection);
  const words = connectionString === undefined ? undefined : urlOf(connectionString)?.searchParams;
  const inString =
    connectionString === undefined ? host : (words?.get('host') ?? URL.parse(connectionString)?.hostname);
  const where = decodeURIComponent(inString ?? '') || (process.env.PGHOST ?? '');
  if (isLoopback(where)) return undefined;
  const isOpen = words && tlsWordIn(words) !== undefined ? isOpenBy(words) : isOpenTls(ssl ?? tlsOfEnvironment());
  return isOpen ? where : undefined;
}

/** As the client library reads a connection string. */
function isOpenBy(words: URLSearchParams): boolean {
  const mode = words.get('sslmode');
  if (mode === null)
    return words.get('ssl') === '0' || words.get('ssl') === 'false' || words.get('ssl') === 'no-verify';
  if (mode === 'disable' || mode === 'no-verify') return true;
  if (words.get('uselibpqcompat') !== 'true') return false;
  return mode !== 'verify-full'; // by libpq's rules the others do not ask whether it is that host's certificate
}

function tlsOfEnvironment(): boolean {
  return /^(prefer|require|verify-ca|verify-full)$/.test(process.env.PGSSLMODE ?? '');
}
