// How to reach PostgreSQL, as users say it. No type of the client library's is in what they see.

import { checkRecord, invalid, nameFault } from '../../checks.ts';
import { given } from '../../known-fields.ts';

/** How to reach PostgreSQL: `postgres://…`, or its parts. Any other field is handed to the `pg` client as it is. */
export type Connection = string | ConnectionParts;

/** The parts of a connection string, for whoever has them one by one. */
export interface ConnectionParts {
  connectionString?: string | undefined;
  host?: string | undefined;
  port?: number | undefined;
  user?: string | undefined;
  password?: string | undefined;
  database?: string | undefined;
  /** As for Node's `tls.connect`; true: by its defaults. */
  ssl?: boolean | object | undefined;
  application_name?: string | undefined;
  /** Milliseconds; default 10,000. */
  connectionTimeoutMillis?: number | undefined;
}

export const defaultSchema = 'trunkline';

/** PostgreSQL cuts longer names off in silence, and keeps those that begin with pg_ for itself. @throws InvalidOptions */
export function checkSchemaName(schema: unknown): asserts schema is string {
  if (typeof schema !== 'string' || nameFault(schema, 63) !== undefined) {
    invalid('schema', schema, 'must be 1 to 63 bytes of text without control characters or half characters');
  }
  if (schema.startsWith('pg_')) invalid('schema', schema, 'must not begin with pg_, as the names of the server do');
}

/**
 * What `pg` is given. A connection that names no server is refused: `pg` would take PGHOST, or this machine, and a
 * variable that is not set would change a database that nobody has named.
 * @throws InvalidOptions, without the connection: it may hold a password
 */
export function configOf(connection: Connection): ConnectionParts {
  if (typeof connection !== 'string') checkRecord('connection', connection);
  else if (connection === '') invalid('connection', '…', 'must be postgres://…, or its parts');
  const parts = typeof connection === 'string' ? { connectionString: connection } : connection;
  const { connectionString, host } = parts ?? {};
  // The value is not shown: it may hold a password.
  if (connectionString === undefined) {
    if (typeof host !== 'string' || host === '') invalid('connection', '…', 'must be postgres://…, or name a host');
  } else if (typeof connectionString !== 'string' || !/^postgres(ql)?:\/\//.test(connectionString)) {
    invalid('connection', '…', 'must begin with postgres://');
  }
  return withDefaults(parts);
}

export function withDefaults(parts: ConnectionParts): ConnectionParts {
  return { connectionTimeoutMillis: 10_000, application_name: 'trunkline', ...given(parts) };
}
