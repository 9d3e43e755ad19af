// The handlers' tables as SQL: checkpoints are rows of `event_handler_positions`, everything else is an entry. Each log has
// its own. Keys travel as bytes, values as the text of their JSON, which is kept letter for letter.
//
// Invariant: a transaction of many entries is no statement of many: one that takes longer than it may is undone, and done again
// with fewer of them. Handlers' own statements run in some of these transactions, by the search_path of the role: so each operator
// and type of ours is named with its schema (own-path.ts).
import pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { checkpointIn, checkpointTable, lowIn } from '../../../handler-state/checkpoint.ts';
import type { Change, Entry, KeyRange } from '../../../handler-state/handler-state-store.ts';
import { storeName } from '../session/failure.ts';
import { lockNames, lockSql } from '../session/locks.ts';
import { PageSize } from '../session/page-size.ts';
import { beginSharedSql, idleFor, silentMs } from '../session/server-session.ts';
import { isServerError } from '../session/sqlstate.ts';
import { timeOf, timeText } from '../session/time-text.ts';

/** Of one statement; a commit may take several, as large as they have gone well. */
const entriesPerStatement = 5_000;
const bytesPerStatement = 8 << 20;

export class EntryStatements {
  private readonly logId: string;
  private readonly schema: string;
  private readonly entries: string;
  /** Held by each commit from its beginning to its end. */
  readonly lock: string;
  private readonly positions: string;
  /** Where this run's commits have put each handler's checkpoint. */
  private readonly lows = new Map<string, number>();
  private readonly pages = new PageSize(entriesPerStatement);

  constructor(schema: string, logId: string) {
    this.logId = logId;
    this.schema = pg.escapeIdentifier(schema);
    this.lock = lockSql(this.schema, lockNames.handlers(logId));
    this.entries = `(select key, value::pg_catalog.text as json from ${this.schema}.handler_entries
      where log_id operator(pg_catalog.=) $1 and table_name operator(pg_catalog.=) $2)`;
    this.positions = `(select pg_catalog.convert_to(handler_name, 'UTF8') as key,
        pg_catalog.json_strip_nulls(pg_catalog.json_build_object('low', position, 'done', completed, 'lastId', last_processed_id,
          'lastAt', last_processed_at, 'updatedAt', updated_at, 'paused', paused))::pg_catalog.text as json
      from ${this.schema}.event_handler_positions
      where log_id operator(pg_catalog.=) $1 and $2::pg_catalog.text operator(pg_catalog.=) '${checkpointTable}')`;
  }

  private source(table: string): string {
    return table === checkpointTable ? this.positions : this.entries;
  }

  async get(client: pg.ClientBase, table: string, key: string): Promise<string | undefined> {
    const sql = `select json from ${this.source(table)} e where key operator(pg_catalog.=) $3`;
    const { rows } = await client.query(sql, [this.logId, table, Buffer.from(key)]);
    return rows[0]?.json;
  }

  async range(client: pg.ClientBase, table: string, { prefix = '', start, end, limit }: KeyRange): Promise<Entry[]> {
    const bytes = Buffer.from(prefix);
    const first = start === undefined ? bytes : Buffer.from(start);
    const sql = `select key, json from ${this.source(table)} e
      where key operator(pg_catalog.>=) $3 and ($4::pg_catalog.bytea is null or key operator(pg_catalog.<) $4)
        and ($5::pg_catalog.bytea is null or key operator(pg_catalog.<) $5) order by key limit $6`;
    const bounds = [
      first.compare(bytes) < 0 ? bytes : first,
      end === undefined ? null : Buffer.from(end),
      behind(bytes),
    ];
    const most = limit === undefined || limit >= Number.MAX_SAFE_INTEGER ? null : limit;
    const { rows } = await client.query(sql, [this.logId, table, ...bounds, most]);
    return rows.map(({ key, json }: { key: Buffer; json: string }) => ({ key: key.toString(), json }));
  }

  /**
   * `begin`, and the entry if there is none; one round trip. `longestMs`: as long as it may take, it may also stand idle.
   * `locals`: as for {@link beginSql}.
   */
  beginWith(entry: Change | undefined, longestMs: number, ...locals: string[]): string {
    const begin = beginSharedSql(idleFor(longestMs + silentMs), ...locals);
    if (entry === undefined) return begin;
    const { table, key, json } = entry;
    const values = [this.logId, table].map(pg.escapeLiteral).join();
    return `${begin}; insert into ${this.schema}.handler_entries (log_id, table_name, key, value)
      values (${values}, '\\x${Buffer.from(key).toString('hex')}', ${pg.escapeLiteral(json!)}) on conflict do nothing`;
  }

  /** Within a transaction. */
  async write(client: pg.ClientBase, changes: readonly Change[]): Promise<void> {
    const put: Change[] = [];
    const removed: Change[] = [];
    const moved: Change[] = [];
    for (const change of changes) {
      if (change.table === checkpointTable) moved.push(change);
      else if (change.json === undefined) removed.push(change);
      else put.push(change);
    }
    await this.inPages(client, put, (page) =>
      client.query(
        `insert into ${this.schema}.handler_entries (log_id, table_name, key, value)
         select $1, t, k, v::pg_catalog.json
         from unnest($2::pg_catalog.text[], $3::pg_catalog.bytea[], $4::pg_catalog.text[]) as r (t, k, v)
         on conflict (log_id, table_name, key) do update set value = excluded.value`,
        [this.logId, ...columnsOf(page), page.map(({ json }) => json)],
      ),
    );
    await this.inPages(client, removed, (page) =>
      client.query(
        `delete from ${this.schema}.handler_entries e using unnest($2::pg_catalog.text[], $3::pg_catalog.bytea[]) as r (t, k)
         where e.log_id operator(pg_catalog.=) $1 and e.table_name operator(pg_catalog.=) r.t and e.key operator(pg_catalog.=) r.k`,
        [this.logId, ...columnsOf(page)],
      ),
    );
    const isGone = ({ json }: Change): boolean => json === undefined;
    await this.inPages(client, moved.filter(isGone), (page) =>
      client.query(
        `delete from ${this.schema}.event_handler_positions
         where log_id operator(pg_catalog.=) $1 and handler_name operator(pg_catalog.=) any($2)`,
        [this.logId, page.map(({ key }) => key)],
      ),
    );
    const kept = moved.filter((change) => !isGone(change));
    await this.inPages(client, kept, (page) => this.move(client, page));
  }

  private async inPages(
    client: pg.ClientBase,
    changes: readonly Change[],
    write: (page: readonly Change[]) => Promise<unknown>,
  ): Promise<void> {
    const undo = (error: unknown): Promise<unknown> => {
      if (!isServerError(error)) throw error; // given up by the client's own clock: it is still in the way
      return client.query('rollback to savepoint page');
    };
    for (let first = 0; first < changes.length; ) {
      const page = (most: number): readonly Change[] => changes.slice(first, first + fitting(changes, first, most));
      const isPart = changes.length - first > 1; // one alone cannot be done in smaller parts
      if (isPart) await client.query('savepoint page');
      first += await this.pages.page(
        nameOf(changes[first]!),
        async (most, held) => {
          const some = page(most);
          held(some.length);
          await write(some);
          return some.length;
        },
        undo,
      );
      if (isPart) await client.query('release savepoint page');
    }
  }

  private async move(client: pg.ClientBase, changes: readonly Change[]): Promise<void> {
    const { rows: before } = await client.query(
      `insert into ${this.schema}.event_handler_positions as p
         (log_id, handler_name, position, completed, paused, last_processed_id, last_processed_at, updated_at)
       select $1, r.* from pg_catalog.json_to_recordset($2) as r (handler_name pg_catalog.text, position bigint,
         completed bigint[], paused boolean, last_id pg_catalog.uuid, last_at pg_catalog.timestamptz, updated_at pg_catalog.timestamptz)
       on conflict (log_id, handler_name) do update set position = excluded.position, completed = excluded.completed,
         paused = excluded.paused, updated_at = excluded.updated_at,
         last_processed_id = coalesce(excluded.last_processed_id, p.last_processed_id),
         last_processed_at = coalesce(excluded.last_processed_at, p.last_processed_at)
       returning handler_name as name, (select b.position::pg_catalog.float8 from ${this.schema}.event_handler_positions b
         where b.log_id operator(pg_catalog.=) p.log_id and b.handler_name operator(pg_catalog.=) p.handler_name) as found`,
      [this.logId, JSON.stringify(changes.map(({ key, json }) => rowOf(key, json!)))],
    );
    for (const { name, found } of before) this.checkFound(name, found ?? 0);
  }

  /** What is kept has been committed. */
  committed(changes: readonly Change[]): void {
    for (const { table, key, json } of changes) {
      if (table !== checkpointTable) continue;
      if (json === undefined) this.lows.delete(key);
      else this.lows.set(key, lowIn(json));
    }
  }

  /** Effects up to what this run has committed would be missing, and would not be done again. @throws StoreBehind */
  private checkFound(handler: string, position: number): void {
    const expected = this.lows.get(handler) ?? 0;
    if (position >= expected) return;
    const message =
      `handler '${handler}' stands at position ${position} in PostgreSQL, and had come to ${expected}: the database has come ` +
      'back from an earlier state; start the runtime again, and handlers go on from what the database has';
    throw new TrunklineError('StoreBehind', { store: storeName, position, expected }, { message });
  }
}

function rowOf(name: string, json: string): object {
  const { low, done, lastId, lastAt, updatedAt, paused = false } = checkpointIn(json, name);
  const at = timeOf(lastAt ?? '');
  const last = { last_id: lastId, last_at: Number.isNaN(at) ? undefined : timeText(at) };
  return { handler_name: name, position: low, completed: done, paused, ...last, updated_at: updatedAt };
}

const columnsOf = (changes: readonly Change[]): unknown[] => [
  changes.map(({ table }) => table),
  changes.map(({ key }) => Buffer.from(key)),
];

/** How many from `first` on go into one statement: `most`, or fewer where they are large. */
function fitting(changes: readonly Change[], first: number, most: number): number {
  let bytes = 0;
  for (let i = first; i < changes.length && i - first < most; i++) {
    bytes += changes[i]!.json?.length ?? 0;
    if (i > first && bytes > bytesPerStatement) return i - first;
  }
  return Math.min(most, changes.length - first);
}

/** For an error that is about this one alone. */
const nameOf = ({ table, key, json }: Change): string =>
  `entry '${table}/${key}' (${json === undefined ? 'removed' : `${json.length} characters`})`;

/** The first key behind all that begin with these bytes; null: there is none. */
function behind(prefix: Buffer): Buffer | null {
  for (let last = prefix.length - 1; last >= 0; last--) {
    if (prefix[last] === 0xff) continue;
    const next = Buffer.from(prefix.subarray(0, last + 1));
    next[last]!++;
    return next;
  }
  return null;
}
