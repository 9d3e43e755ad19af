// `postgres(…)`: the event store in PostgreSQL, as the user describes it. A plain value, so that it can be sent to threads.
import type pg from 'pg';
import { checkCrosses, checkInteger, type OpenHost } from '../../../base/checks.ts';
import { TrunklineError } from '../../../base/errors.ts';
import { revealed } from '../../../base/hidden.ts';
import { checkFields, fieldsOf } from '../../../base/known-fields.ts';
import { printAs } from '../../../base/one-line.ts';
import { ownFile } from '../../../base/own-file.ts';
import { forThread, type Secret } from '../../../base/secrets.ts';
import { shown } from '../../../base/shown.ts';
import { type StoreDescription, StoreOptions } from '../../../store/adapter.ts';
import {
  type ConnectionParts,
  checkConnectionString,
  checkCredentials,
  checkSchemaName,
  configOf,
  defaultSchema,
  type HiddenConnection,
  openHost,
  urlOf,
  withDefaults,
} from './connection.ts';
import { checkWords } from './connection-words.ts';
import { storeName } from './failure.ts';

/** A `pg.Pool`, as far as it matters here. */
export interface PostgresPool {
  /** As the `pg` pool's own. */
  connect(): Promise<object>;
  /** As the `pg` pool's own. */
  query(text: string): Promise<object>;
  readonly totalCount: number;
}

/** How to reach the store, and how to write it. Either `connectionString` or `pool`. */
export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`. */
  connectionString?: string | undefined;
  /**
   * Instead of the connection string's: text, or a function that gives the one of now. It is called for each connection, in
   * the thread of the options, and has three quarters of the time that a connection may take (10 s).
   */
  password?: Secret | undefined;
  /** As for Node's `tls.connect`, plain data; true: by its defaults. */
  ssl?: boolean | object | undefined;
  /**
   * A pool of your own. Reads from this thread use it; the threads that flush and load open connections of their own with
   * its options, which must therefore survive structured cloning (but for a password that is a function).
   */
  pool?: PostgresPool | undefined;
  /** Where the tables live; default `trunkline`. */
  schema?: string | undefined;
  /** Apply missing migrations at the start; default false. */
  migrate?: boolean | undefined;
  /** Most events of one transaction, 1 to 100,000; default 16,384. A batch is what has arrived meanwhile. */
  batchEvents?: number | undefined;
  /** Most bytes of one transaction, 64 KiB to 256 MiB; default 4 MiB. */
  batchBytes?: number | undefined;
  /** At most one transaction in so many milliseconds unless a caller waits, 0 to 60,000; default 5. */
  flushDelayMs?: number | undefined;
  /** How long a statement may take before its connection is given up, milliseconds, 100 to 600,000; default 30,000. */
  statementTimeoutMs?: number | undefined;
  /** How long a load of an aggregate may take, milliseconds, 10 to 600,000; default 5,000; then `StoreUnavailable`. */
  loadTimeoutMs?: number | undefined;
}

/** What threads get. */
export interface PostgresSettings {
  readonly connection: HiddenConnection;
  readonly schema: string;
  readonly migrate: boolean;
  readonly batchEvents: number;
  readonly batchBytes: number;
  readonly flushDelayMs: number;
  readonly statementTimeoutMs: number;
  readonly loadTimeoutMs: number;
}

/** A store in PostgreSQL; made by {@link postgres}. */
export class PostgresStoreOptions extends StoreOptions {
  readonly name: string = storeName;
  // Private: neither a console nor JSON, a spread or a copy shows the connection.
  readonly #settings: PostgresSettings;
  readonly #pool: pg.Pool | undefined;

  /** @internal */
  constructor(settings: PostgresSettings, pool: pg.Pool | undefined) {
    super();
    this.#settings = settings;
    this.#pool = pool;
  }

  /** @internal */
  get settings(): PostgresSettings {
    return this.#settings;
  }

  /** @internal */
  get pool(): pg.Pool | undefined {
    return this.#pool;
  }

  /** With the connection in plain, a password's function by its place. @internal */
  describe(): StoreDescription {
    const settings = this.#settings;
    const connection = revealed(settings.connection);
    const { batchEvents: events, batchBytes: bytes, flushDelayMs: delayMs } = settings;
    const { statementTimeoutMs, loadTimeoutMs } = settings;
    return {
      name: this.name,
      module: ownFile('../adapter', import.meta.url).href,
      settings: { ...settings, connection: { ...connection, password: forThread(connection.password) } },
      batch: { events, bytes, delayMs },
      statementTimeoutMs,
      loadTimeoutMs,
    };
  }

  /** A server may ask for the password as it is. @internal */
  override openHosts(): readonly OpenHost[] {
    const host = openHost(this.#settings.connection);
    return host === undefined ? [] : [{ host, sendsSecret: true }];
  }
}

printAs(PostgresStoreOptions, ({ settings }) => `postgres, schema ${settings.schema}`);

const known = fieldsOf<PostgresOptions>({
  connectionString: 'text',
  password: 'secret',
  ssl: true,
  pool: 'object',
  schema: 'text',
  migrate: true,
  batchEvents: true,
  batchBytes: true,
  flushDelayMs: true,
  statementTimeoutMs: true,
  loadTimeoutMs: true,
});

/**
 * Keep events in PostgreSQL (15 and newer): `createRuntime({ store: postgres({ connectionString }) })`.
 * @throws InvalidOptions
 */
export function postgres(options: PostgresOptions): PostgresStoreOptions {
  checkFields('store', options, known);
  const { schema = defaultSchema, migrate = false } = options;
  checkSchemaName(schema);
  if (typeof migrate !== 'boolean') invalid('migrate', migrate, 'must be true or false');
  const settings: PostgresSettings = {
    connection: connectionOf(options),
    schema,
    migrate,
    batchEvents: checkInteger('store.batchEvents', options.batchEvents ?? 16_384, 1, 100_000),
    batchBytes: checkInteger('store.batchBytes', options.batchBytes ?? 4 << 20, 1 << 16, 1 << 28),
    flushDelayMs: checkInteger('store.flushDelayMs', options.flushDelayMs ?? 5, 0, 60_000),
    statementTimeoutMs: checkInteger('store.statementTimeoutMs', options.statementTimeoutMs ?? 30_000, 100, 600_000),
    loadTimeoutMs: checkInteger('store.loadTimeoutMs', options.loadTimeoutMs ?? 5_000, 10, 600_000),
  };
  return new PostgresStoreOptions(settings, options.pool as pg.Pool | undefined);
}

function connectionOf({ connectionString, pool, password, ssl }: PostgresOptions): HiddenConnection {
  if ((connectionString === undefined) === (pool === undefined)) {
    invalid('connectionString', connectionString, 'either connectionString or pool must be given');
  }
  if (connectionString !== undefined) {
    checkConnectionString('store.connectionString', connectionString);
    checkCredentials('store', { connectionString, ssl });
    checkCrosses('store.ssl', ssl);
    return configOf({ connectionString, password, ssl });
  }
  if (password !== undefined || ssl !== undefined) {
    invalid(password === undefined ? 'store.ssl' : 'store.password', undefined, 'belongs into the options of the pool');
  }
  const { options } = pool as unknown as { options?: pg.PoolConfig & { Client?: unknown; Promise?: unknown } };
  if (options === undefined) invalid('pool', pool, 'must be a pg.Pool');
  const names = ['connectionString', 'host', 'port', 'user', 'database', 'ssl', 'application_name', 'options'] as const;
  const url = typeof options.connectionString === 'string' ? urlOf(options.connectionString) : null;
  if (url !== null) checkWords('store.pool', url.searchParams);
  const connection: Record<string, unknown> = {};
  for (const name of names) if (options[name] !== undefined) connection[name] = options[name];
  try {
    // The password is not among the pool's own enumerable properties: pg hides it from logs.
    return withDefaults({ ...(structuredClone(connection) as ConnectionParts), password: options.password as Secret });
  } catch {
    return invalid('pool', pool, 'its options must survive structured cloning');
  }
}

function invalid(option: string, value: unknown, reason: string): never {
  throw new TrunklineError('InvalidOptions', { option: `store.${option}`, value: shown(value), reason });
}
