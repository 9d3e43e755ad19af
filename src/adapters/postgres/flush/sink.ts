// PostgreSQL as the flusher drives it: where the log's checkpoint is, and what is reported. What one
// transaction does: flush-transaction.ts. Owned by the flush thread.
//
// Invariants: the checkpoint row moves in the transaction that holds the events, from where this sink last saw it; so a
// batch whose COMMIT went unanswered is found done or undone by reading it again, and two processes that flush the same log
// (a copied data directory) cannot both go on. Every event before it is in `domain_events` or in `quarantined_events`, once.
import pg from 'pg';
import { dateMs } from '../../../base/clock.ts';
import { isError, TrunklineError } from '../../../base/errors.ts';
import { revealed } from '../../../base/hidden.ts';
import { onAbort } from '../../../base/on-abort.ts';
import type { Batch, Sink } from '../../../log/sink.ts';
import type { RefusedEvent } from '../../../store/store.ts';
import { Partitions } from '../partitions/partitions.ts';
import { migrate } from '../schema/migrate.ts';
import { checkSchema, Session } from '../schema/session.ts';
import { failure, storeName } from '../session/failure.ts';
import { endFrozenFlushes, flushName, isLockTimeout } from '../session/frozen.ts';
import { patienceMs } from '../session/frozen-sql.ts';
import { lockedByOthers } from '../session/lock-holders.ts';
import type { PostgresSettings } from '../session/postgres.ts';
import { executeEach } from '../session/statement.ts';
import { FlushTransaction, lockWaitMs } from './flush-transaction.ts';
import { planOf } from './plan.ts';
import { noticeOf, refusedBetween } from './quarantine.ts';
import { checkpointStatements, rightsStatement } from './sink-sql.ts';

export interface PostgresSinkEvents {
  /** Committed: these were not taken. Not `isNews`: they were not in an earlier run, which may not have said so. */
  quarantined(refused: readonly RefusedEvent[], isNews: boolean): void | Promise<void>;
  /** Something that does not stop the flush. */
  report?(error: TrunklineError): void;
  /** Whether nothing else reads the log: a stream, sinks. Default true. */
  readonly isLastReader?: boolean;
}

export class PostgresSink implements Sink {
  readonly takesParts = true;
  private readonly settings: PostgresSettings;
  private readonly logId: string;
  private readonly firstPosition: number;
  private readonly events: PostgresSinkEvents;
  private readonly schema: string;
  private readonly partitions: Partitions;
  private readonly transaction: FlushTransaction;
  private session: Session | undefined;
  private isMigrated = false;
  /** The log is stored up to here, by the database. */
  private checkpoint = 0;
  /** What was refused up to here has been reported. */
  private told = 0;

  /** `firstPosition`: the first that the log still keeps; 0 or 1: all of it. */
  constructor(settings: PostgresSettings, logId: string, firstPosition: number, events: PostgresSinkEvents) {
    this.settings = settings;
    this.logId = logId;
    this.firstPosition = firstPosition;
    this.events = events;
    this.schema = pg.escapeIdentifier(settings.schema);
    this.partitions = new Partitions(this.schema, (error) => events.report?.(failure(error, settings.schema)));
    this.transaction = new FlushTransaction(
      this.schema,
      logId,
      events.isLastReader ?? true,
      settings.statementTimeoutMs,
    );
  }

  /**
   * Where to read on: behind the checkpoint.
   * @throws StoreUnavailable, StoreAccessDenied, StoreSchemaMissing, StoreSchemaNewer, StoreSchemaMismatch, PositionGone
   */
  async open(): Promise<number> {
    const { connection, schema } = this.settings;
    if (this.settings.migrate && !this.isMigrated) {
      await migrate({ connection: revealed(connection), schema });
      this.isMigrated = true;
    }
    await this.connect();
    await this.checkRights(this.session!.client);
    if (this.checkpoint === 0 && this.firstPosition > 1) {
      throw new TrunklineError('PositionGone', { position: 1, firstKept: this.firstPosition });
    }
    // A crash right behind a COMMIT has left unreported what that transaction refused.
    this.told = Math.max(0, this.checkpoint - this.settings.batchEvents);
    await this.tellMissed(this.session!.client, false);
    return this.checkpoint;
  }

  /** Without the right to make months every event lands in the default partition, and nothing says so. */
  private async checkRights(client: pg.ClientBase): Promise<void> {
    try {
      const { role, may } = await rightsStatement.one(client, {
        function: `${this.schema}.make_partition(timestamptz)`,
      });
      if (may) return;
      const cause = `role ${role} may not execute make_partition, so events lie in the default partition`;
      this.events.report?.(new TrunklineError('StoreAccessDenied', { store: storeName, cause }));
    } catch (error) {
      this.session?.failed(error);
      throw failure(error, this.settings.schema);
    }
  }

  async write(batch: Batch, signal: AbortSignal): Promise<number> {
    const forget = onAbort(signal, () => this.session?.destroy());
    try {
      if (this.session === undefined || this.session.isBroken) await this.connect(signal);
      const { client } = this.session!;
      // The last COMMIT succeeded, but its reply, or the report of what it refused, was lost.
      if (this.told < this.checkpoint) await this.tellMissed(client, true);
      if (this.checkpoint < batch.toPosition) await this.writeBatch(client, batch);
      return this.checkpoint;
    } catch (error) {
      throw await this.failed(error);
    } finally {
      forget();
    }
  }

  async close(): Promise<void> {
    await this.session?.close();
  }

  private async writeBatch(client: pg.Client, batch: Batch): Promise<void> {
    const expected = batch.followsLoss ? this.checkpoint : batch.fromPosition - 1;
    if (expected !== this.checkpoint) throw await this.transaction.contradiction(client, expected);
    const plan = planOf(batch);
    await this.partitions.prepare(client, plan.months, dateMs());
    const refused = await this.transaction.commit(client, { from: expected, batch, plan });
    this.checkpoint = batch.toPosition;
    await this.tell(refused.map(noticeOf), true);
  }

  /** As callers get it, once the session knows. */
  private async failed(error: unknown): Promise<unknown> {
    const known = isLockTimeout(error) ? await this.lockedBy(this.session!.client, error) : error;
    if (isError(error, 'StoreBehind')) this.session?.destroy(); // the next one makes the checkpoint's row if it is gone
    this.session?.failed(error);
    return failure(known, this.settings.schema);
  }

  /** A lock was waited for in vain: another log's flush that stands still is ended, and the sessions that may hold it are named. */
  private async lockedBy(client: pg.ClientBase, error: unknown): Promise<unknown> {
    try {
      await endFrozenFlushes(client, this.schema);
      return await lockedByOthers(client, this.schema, error);
    } catch {
      return error; // the lock, not what looking for its holder has met
    }
  }

  private async tell(refused: readonly RefusedEvent[], isNews: boolean): Promise<void> {
    const stale = this.transaction.stale.filter(({ position }) => position > this.told && position <= this.checkpoint);
    const all = [...refused, ...stale].sort((a, b) => a.position - b.position);
    if (all.length > 0) await this.events.quarantined(all, isNews);
    this.told = this.checkpoint;
    this.transaction.stale = [];
  }

  private async tellMissed(client: pg.ClientBase, isNews: boolean): Promise<void> {
    await this.tell(await refusedBetween(client, this.schema, this.logId, this.told + 1, this.checkpoint), isNews);
  }

  private async connect(signal?: AbortSignal): Promise<void> {
    const { connection, schema, statementTimeoutMs: timeoutMs } = this.settings;
    this.session?.destroy();
    const session = await Session.open({ connection, schema, timeoutMs, name: flushName }, signal);
    try {
      await checkSchema(session.client, schema);
      this.checkpoint = await this.lockCheckpoint(session.client);
      this.session = session;
    } catch (error) {
      const known = isLockTimeout(error) ? await this.lockedBy(session.client, error) : error;
      session.destroy();
      throw failure(known, schema);
    }
  }

  /**
   * The checkpoint's row is locked, so this waits for what a connection that was given up may still commit; but not for one
   * whose client is gone and that the server still believes in.
   */
  private async lockCheckpoint(client: pg.ClientBase): Promise<number> {
    const waitMs = lockWaitMs(this.settings.statementTimeoutMs);
    for (let hasLooked = false; ; hasLooked = true) {
      try {
        const timeoutMs = hasLooked ? waitMs : Math.min(patienceMs, waitMs);
        const statement = checkpointStatements(this.schema, this.logId, timeoutMs);
        const results = await executeEach(client, statement.text);
        return statement.oneIn(results.find(({ command }) => command === 'INSERT')!).position;
      } catch (error) {
        if (!isLockTimeout(error)) throw error;
        await client.query('rollback');
        if (hasLooked) throw error;
        await endFrozenFlushes(client, this.schema);
      }
    }
  }
}
