// Tells the store how far the readers are whose checkpoints are kept on this machine, so that `partitions drop` asks them too:
// a row of `log_readers` for each. Owned by the host thread.
//
// Invariants: only what has been committed here is reported, so a row never stands ahead of its reader. A new reader, and one
// that goes back, or is gone, are reported at once; progress now and then, and at the end. Readers that this run does not begin are reported too:
// they may be begun again. What the server does not take is reported later, and holds up nothing.
import pg from 'pg';
import { clearTimeout, setTimeout } from '../../../base/clock.ts';
import { guarded, unawaited } from '../../../base/guarded.ts';
import { checkpointTable, lowIn } from '../../../handler-state/checkpoint.ts';
import type { Change, HandlerStateStore } from '../../../handler-state/handler-state-store.ts';
import { checkOwnershipOfSession } from '../schema/recent-ownership.ts';
import { failure } from '../session/failure.ts';
import type { PostgresSettings } from '../session/postgres.ts';
import { openClient } from '../session/server-session.ts';
import { beginSql } from '../session/session-sql.ts';
import { keepReadersStatement, lockReadersStatement, moveReadersStatement } from './log-readers-sql.ts';

const everyMs = 30_000;
/** At the end, how long a store that is unavailable is waited for. */
const lastCallMs = 2_000;

export class LogReaders {
  private readonly settings: PostgresSettings;
  private readonly logId: string;
  private readonly onError: (error: Error) => void;
  private readonly positions = new Map<string, number>();
  /** What the table holds, as far as this run knows. */
  private told: ReadonlyMap<string, number> | undefined;
  private isAway = false;
  private timer: NodeJS.Timeout | undefined;
  private isUrgent = false;
  private readonly ending = new AbortController();
  private running: Promise<void> | undefined;
  private isClosing = false;

  /** `onError`: once for each time that the server begins to fail. */
  constructor(settings: PostgresSettings, logId: string, onError: (error: Error) => void) {
    this.settings = settings;
    this.logId = logId;
    this.onError = onError;
  }

  /** The same store, whose checkpoints are noted as they are committed. */
  async follow(store: HandlerStateStore): Promise<HandlerStateStore> {
    for (const { key, json } of await store.range(checkpointTable, {})) this.note(key, json);
    return {
      get: (table, key) => store.get(table, key),
      range: (table, range) => store.range(table, range),
      commit: async (changes, onRefused) => {
        const refused = new Set<Change>();
        await store.commit(changes, (change, error) => {
          refused.add(change);
          onRefused(change, error);
        });
        this.committed(refused.size === 0 ? changes : changes.filter((change) => !refused.has(change)));
      },
      close: () => store.close(),
      cut: () => store.cut?.(),
    };
  }

  /** Report what is left; not for long. */
  async close(): Promise<void> {
    this.isClosing = true;
    clearTimeout(this.timer);
    const timer = setTimeout(
      guarded(() => this.ending.abort()),
      lastCallMs,
    );
    await this.running;
    if (this.hasNews && !this.isAway && !this.ending.signal.aborted) await this.tell();
    clearTimeout(timer);
  }

  /** Nothing is reported from now on. */
  cut(): void {
    this.isClosing = true;
    this.ending.abort();
  }

  private committed(changes: readonly Change[]): void {
    for (const { table, key, json } of changes) if (table === checkpointTable) this.note(key, json);
  }

  private note(name: string, json: string | undefined): void {
    const before = this.positions.get(name);
    if (json === undefined) {
      this.positions.delete(name);
      if (before !== undefined) this.isUrgent = true; // it holds up months no longer
    } else {
      const low = lowIn(json);
      this.positions.set(name, low);
      if (before === undefined || low < before) this.isUrgent = true;
    }
    this.plan();
  }

  private get hasNews(): boolean {
    const { positions, told } = this;
    return told?.size !== positions.size || [...positions].some(([name, low]) => told.get(name) !== low);
  }

  private plan(): void {
    if (this.isClosing || this.running !== undefined) return;
    const isSoon = this.isUrgent && !this.isAway;
    if (this.timer !== undefined && !isSoon) return;
    clearTimeout(this.timer);
    const turn = (): void => unawaited(this.turn(), (error) => this.onError(error as Error));
    this.timer = setTimeout(guarded(turn), isSoon ? 0 : everyMs).unref();
  }

  private async turn(): Promise<void> {
    this.timer = undefined;
    this.running = this.tell();
    await this.running;
    this.running = undefined;
    if (this.hasNews) this.plan();
  }

  /** All that is known here; what the table has besides is of no reader any more. Rejects never. */
  private async tell(): Promise<void> {
    const { connection, schema, statementTimeoutMs: timeoutMs } = this.settings;
    const positions = new Map(this.positions);
    const name = pg.escapeIdentifier(schema);
    const { logId } = this;
    this.isUrgent = false;
    let client: pg.Client | undefined;
    try {
      client = await openClient(connection, { name: 'trunkline readers', timeoutMs }, this.ending.signal);
      await checkOwnershipOfSession(client, schema);
      const names = [...positions.keys()];
      await client.query(beginSql());
      await lockReadersStatement(name).count(client, { logId });
      await keepReadersStatement(name).count(client, { logId, names });
      await moveReadersStatement(name).count(client, { logId, names, positions: [...positions.values()] });
      await client.query('commit');
      this.told = positions;
      this.isAway = false;
    } catch (error) {
      if (!this.isAway && !this.ending.signal.aborted) this.onError(failure(error, schema));
      this.isAway = true;
    } finally {
      await client?.end().catch(() => {});
    }
  }
}
