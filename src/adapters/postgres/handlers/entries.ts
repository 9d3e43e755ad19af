// The handlers' tables as rows: checkpoints are rows of `event_handler_positions`, everything else is an entry. Each log has
// its own.
//
// Invariant: a transaction of many entries is no statement of many: one that takes longer than it may is undone, and done again
// with fewer of them.
import pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { checkpointIn, checkpointTable, lowIn } from '../../../handler-state/checkpoint.ts';
import type { Change, Entry, KeyRange } from '../../../handler-state/handler-state-store.ts';
import { storeName } from '../session/failure.ts';
import { lockNames, lockSql } from '../session/locks-sql.ts';
import { PageSize } from '../session/page-size.ts';
import { idleFor, silentMs } from '../session/session-sql.ts';
import { isServerError } from '../session/sqlstate.ts';
import { execute } from '../session/statement.ts';
import { timeOf, timeText } from '../session/time-text.ts';
import {
  beginSharedWithSql,
  type CheckpointRow,
  entryStatement,
  forgetStatement,
  moveStatement,
  onePage,
  putStatement,
  rangeStatement,
  removeStatement,
} from './entries-sql.ts';

/** Of one statement; a commit may take several, as large as they have gone well. */
const entriesPerStatement = 5_000;
const bytesPerStatement = 8 << 20;

export class EntryStatements {
  private readonly logId: string;
  private readonly schema: string;
  /** Held by each commit from its beginning to its end. */
  readonly lock: string;
  /** Where this run's commits have put each handler's checkpoint. */
  private readonly lows = new Map<string, number>();
  private readonly pages = new PageSize(entriesPerStatement);

  constructor(schema: string, logId: string) {
    this.logId = logId;
    this.schema = pg.escapeIdentifier(schema);
    this.lock = lockSql(this.schema, lockNames.handlers(logId));
  }

  async get(client: pg.ClientBase, table: string, key: string): Promise<string | undefined> {
    const of = { logId: this.logId, table, key: Buffer.from(key) };
    const [found] = await entryStatement(this.schema, table).run(client, of);
    return found?.json;
  }

  async range(client: pg.ClientBase, table: string, { prefix = '', start, end, limit }: KeyRange): Promise<Entry[]> {
    const bytes = Buffer.from(prefix);
    const first = start === undefined ? bytes : Buffer.from(start);
    const rows = await rangeStatement(this.schema, table).run(client, {
      logId: this.logId,
      table,
      first: first.compare(bytes) < 0 ? bytes : first,
      end: end === undefined ? null : Buffer.from(end),
      behindPrefix: behind(bytes),
      most: limit === undefined || limit >= Number.MAX_SAFE_INTEGER ? null : limit,
    });
    return rows.map(({ key, json }) => ({ key: key.toString(), json }));
  }

  /**
   * `begin`, and the entry if there is none; one round trip. `longestMs`: as long as it may take, it may also stand idle.
   * `locals`: as for {@link beginSql}.
   */
  beginWith(entry: Change | undefined, longestMs: number, ...locals: string[]): string {
    return beginSharedWithSql(this.schema, this.logId, entry, idleFor(longestMs + silentMs), ...locals);
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
    const { schema, logId } = this;
    await this.inPages(client, put, (page) =>
      putStatement(schema).count(client, { logId, ...keysOf(page), jsons: page.map(({ json }) => json) }),
    );
    await this.inPages(client, removed, (page) => removeStatement(schema).count(client, { logId, ...keysOf(page) }));
    const isGone = ({ json }: Change): boolean => json === undefined;
    await this.inPages(client, moved.filter(isGone), (page) =>
      forgetStatement(schema).count(client, { logId, handlers: page.map(({ key }) => key) }),
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
      return execute(client, onePage.undo);
    };
    for (let first = 0; first < changes.length; ) {
      const page = (most: number): readonly Change[] => changes.slice(first, first + fitting(changes, first, most));
      const isPart = changes.length - first > 1; // one alone cannot be done in smaller parts
      if (isPart) await execute(client, onePage.begin);
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
      if (isPart) await execute(client, onePage.keep);
    }
  }

  private async move(client: pg.ClientBase, changes: readonly Change[]): Promise<void> {
    const json = JSON.stringify(changes.map(({ key, json }) => rowOf(key, json!)));
    const before = await moveStatement(this.schema).run(client, { logId: this.logId, json });
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

function rowOf(name: string, json: string): CheckpointRow {
  const { low, done, lastId, lastAt, updatedAt, paused = false } = checkpointIn(json, name);
  const at = timeOf(lastAt ?? '');
  const last = { last_id: lastId, last_at: Number.isNaN(at) ? undefined : timeText(at) };
  return { handler_name: name, position: low, completed: done, paused, ...last, updated_at: updatedAt };
}

const keysOf = (changes: readonly Change[]): { tables: string[]; keys: Buffer[] } => ({
  tables: changes.map(({ table }) => table),
  keys: changes.map(({ key }) => Buffer.from(key)),
});

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
