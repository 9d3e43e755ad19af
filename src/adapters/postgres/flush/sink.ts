// PostgreSQL as the flusher drives it: where the log's checkpoint is, what waits for locks of others, what is reported. What one
// transaction does: flush-transaction.ts. Owned by the flush thread.
//
// Invariants: the checkpoint row moves in the transaction that holds the events, from where this sink last saw it; so a
// batch whose COMMIT went unanswered is found done or undone by reading it again, and two processes that flush the same log
// (a copied data directory) cannot both go on. Every event before it is in `domain_events` or in `quarantined_events`, once, or
// still in the log alone, and then `held_aggregates` says so.
import pg from 'pg';
import { dateMs, performance } from '../../../base/clock.ts';
import { isError, TrunklineError } from '../../../base/errors.ts';
import { revealed } from '../../../base/hidden.ts';
import { onAbort } from '../../../base/on-abort.ts';
import type { Batch, Sink } from '../../../log/sink.ts';
import type { HeldChange, Holding } from '../../../store/holding.ts';
import type { RefusedEvent } from '../../../store/store.ts';
import { Partitions } from '../partitions/partitions.ts';
import { migrate } from '../schema/migrate.ts';
import { checkSchema, Session } from '../schema/session.ts';
import { failure, storeName } from '../session/failure.ts';
import { endFrozenFlushes, flushName, isLockTimeout, patienceMs } from '../session/frozen.ts';
import type { PostgresSettings } from '../session/postgres.ts';
import { executeEach } from '../session/statement.ts';
import { type Done, FlushTransaction, lockTimeoutMs, type Work } from './flush-transaction.ts';
import type { Refusal } from './heads.ts';
import { bytesOf, type Frames, framesOf, type Group, groupsOf, HeldGroups, split, splitKey } from './held-groups.ts';
import { planOf } from './plan.ts';
import { noticeOf, refusedBetween } from './quarantine.ts';
import { lockCheckpoint, rightsStatement } from './sink-sql.ts';

export interface PostgresSinkEvents {
  /** Committed: these were not taken. Not `isNews`: they were not in an earlier run, which may not have said so. */
  quarantined(refused: readonly RefusedEvent[], isNews: boolean): void | Promise<void>;
  /** To be committed: what this machine knows of these aggregates may count no more. */
  contested?(refused: readonly RefusedEvent[]): void;
  /** Committed: these wait for locks of others, or wait no more. */
  held?(change: HeldChange): void;
  /** Something that does not stop the flush. */
  report?(error: TrunklineError): void;
  /** Whether nothing else reads the log: a stream, sinks. Default true. */
  readonly isLastReader?: boolean;
}

export class PostgresSink implements Sink, Holding {
  readonly takesParts = true;
  private readonly settings: PostgresSettings;
  private readonly logId: string;
  private readonly firstPosition: number;
  private readonly events: PostgresSinkEvents;
  private readonly schema: string;
  private readonly partitions: Partitions;
  private readonly transaction: FlushTransaction;
  private readonly held = new HeldGroups();
  private session: Session | undefined;
  private isMigrated = false;
  /** How far the log has been looked through, by the database. */
  private checkpoint = 0;
  /** How far it was when this sink began, or began again: what waits before it is still to be read from the log. */
  private resumed = 0;
  /** How far the last attempt would have moved it. */
  private tried = 0;
  /** The database has come back from an earlier state: the log is read again. */
  private hasGoneBack = false;
  /** The last position that this sink was given, and has done with. */
  private read = 0;
  /** What was refused up to here has been reported. */
  private told = 0;
  private lookedForFrozenAt = 0;
  /** So much of what waits is tried at once. */
  private settleBytes: number;

  /** `firstPosition`: the first that the log still keeps; 0 or 1: all of it. */
  constructor(settings: PostgresSettings, logId: string, firstPosition: number, events: PostgresSinkEvents) {
    this.settings = settings;
    this.logId = logId;
    this.firstPosition = firstPosition;
    this.events = events;
    this.schema = pg.escapeIdentifier(settings.schema);
    this.settleBytes = settings.batchBytes;
    this.partitions = new Partitions(this.schema, (error) => events.report?.(failure(error, settings.schema)));
    this.transaction = new FlushTransaction(this.schema, logId, events.isLastReader ?? true);
  }

  /**
   * Where to read on: behind the checkpoint, or before what waits there.
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
    this.resumed = this.checkpoint;
    this.read = Math.min(this.checkpoint, (this.held.from ?? Number.POSITIVE_INFINITY) - 1);
    // A crash right behind a COMMIT has left unreported what that transaction refused.
    this.told = Math.max(0, this.checkpoint - this.settings.batchEvents);
    await this.tellMissed(this.session!.client, false);
    return this.read;
  }

  get heldFrom(): number | undefined {
    return this.held.from;
  }

  get passed(): number {
    return this.checkpoint;
  }

  get dueInMs(): number {
    return this.held.dueInMs(performance.now());
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

  write(batch: Batch, signal: AbortSignal): Promise<number> {
    return this.connected(signal, async (client) => {
      // The last COMMIT succeeded, but its reply, or the report of what it refused, was lost.
      if (this.told < this.checkpoint) await this.tellMissed(client, true);
      if (batch.fromPosition <= this.read) this.readAgain(batch.fromPosition);
      if (this.checkpoint < batch.toPosition) {
        if (this.held.dueInMs(performance.now()) === 0) await this.settleHeld(client);
        await this.writeBatch(client, batch);
      } else if (this.held.rows.size > 0 && this.checkpoint <= Math.max(this.resumed, this.tried)) {
        this.hold(groupsOf(batch).filter((group) => this.held.has(group)));
      } else {
        this.read = this.checkpoint;
        return this.checkpoint;
      }
      this.read = batch.toPosition;
      return batch.toPosition;
    });
  }

  /** Try again what waits. @throws as `write`; StoreBehind, if the database has come back from an earlier state */
  settle(signal: AbortSignal): Promise<void> {
    return this.connected(signal, async (client) => {
      if (this.checkpoint < this.read) throw await this.transaction.contradiction(client, this.read);
      await this.settleHeld(client);
    });
  }

  async close(): Promise<void> {
    await this.session?.close();
  }

  private async connected<T>(signal: AbortSignal, work: (client: pg.Client) => Promise<T>): Promise<T> {
    const forget = onAbort(signal, () => this.session?.destroy());
    try {
      if (this.session === undefined || this.session.isBroken) await this.connect(signal);
      return await work(this.session!.client);
    } catch (error) {
      if (isLockTimeout(error)) await endFrozenFlushes(this.session!.client, this.schema).catch(() => {});
      if (isError(error, 'StoreBehind')) {
        this.hasGoneBack = true;
        this.session?.destroy(); // the next one makes the checkpoint's row if it is gone
      }
      this.session?.failed(error);
      throw failure(error, this.settings.schema);
    } finally {
      forget();
    }
  }

  private async writeBatch(client: pg.Client, batch: Batch): Promise<void> {
    const expected = batch.followsLoss ? this.checkpoint : Math.max(batch.fromPosition - 1, this.resumed);
    if (expected !== this.checkpoint) {
      throw await this.transaction.contradiction(client, expected);
    }
    const { frames, held } = this.partsOf(batch);
    const plan = planOf(frames);
    await this.partitions.prepare(client, plan.months, dateMs());
    this.tried = batch.toPosition;
    const done = await this.commit(client, { to: batch.toPosition, frames, plan, held, isAgain: false });
    this.checkpoint = batch.toPosition;
    this.hold(done.held, done.rows);
    await this.tell(done.refused.map(noticeOf), done.stale, true);
  }

  /** What of it is to be written, and what waits behind what waits already. @throws StoreUnavailable: that has no room */
  private partsOf(batch: Batch): { frames: Frames; held: readonly Group[] } {
    const { held } = this;
    if (held.rows.size === 0 && batch.fromPosition > this.checkpoint) return { frames: batch, held: [] };
    const groups = groupsOf(batch);
    this.hold(groups.filter((group) => group.to <= this.checkpoint && held.has(group)));
    const parts = split(
      groups.filter(({ from }) => from > this.checkpoint),
      held.rows.keys(),
    );
    const bytes = held.bytes + bytesOf(parts.held);
    if (parts.held.length > 0 && bytes > this.settings.heldBytes) {
      const [key] = held.rows.keys();
      const { type, id } = splitKey(key!);
      const cause = `transactions of others lock ${held.rows.size} aggregates, ${type}/${id} first: ${bytes} bytes would wait for them (heldBytes)`;
      throw new TrunklineError('StoreUnavailable', { store: storeName, cause });
    }
    return { frames: framesOf(parts.free), held: parts.held };
  }

  private async settleHeld(client: pg.Client): Promise<void> {
    const { held } = this;
    held.trying(performance.now());
    if (held.rows.size === 0 || this.read !== this.checkpoint) return; // a part of it is still to be read
    const frames = framesOf(held.groups);
    const plan = planOf(frames);
    await this.partitions.prepare(client, plan.months, dateMs());
    const before = held.groups;
    // First, so that a crash right behind the COMMIT leaves no state of refused events that counts.
    const refusing = (refused: readonly Refusal[], stale: readonly RefusedEvent[]): void => {
      const all = [...refused.map(noticeOf), ...stale];
      if (all.length > 0) this.events.contested?.(all);
    };
    const most = this.settleBytes;
    this.settleBytes = Math.max(1, most >> 1); // where it fails because there is too much of it
    const done = await this.commit(client, {
      to: this.checkpoint,
      frames,
      plan,
      held: [],
      isAgain: true,
      most,
      refusing,
    });
    this.settleBytes = this.settings.batchBytes;
    const kept = new Set(done.held.map(({ from }) => from));
    held.settled(
      before.filter(({ from }) => kept.has(from)),
      done.rows,
      performance.now(),
    );
    await this.report([...done.refused.map(noticeOf), ...done.stale], true);
    this.reportSettled(before.filter(({ from }) => !kept.has(from)));
    await this.endFrozen(client);
  }

  private commit(client: pg.Client, work: Omit<Work, 'from' | 'rows' | 'room'>): Promise<Done> {
    const room = this.settings.heldBytes - this.held.bytes - bytesOf(work.held);
    return this.transaction.commit(client, { ...work, from: this.checkpoint, rows: this.held.rows, room });
  }

  /** These wait from now on. */
  private hold(groups: readonly Group[], rows = this.held.rows): void {
    const last = this.held.groups.at(-1)?.from ?? 0; // an attempt that failed has held some of them
    const more = groups.filter(({ from }) => from > last);
    if (more.length === 0) return;
    this.held.add(more, rows, performance.now());
    const held = more.map(({ from, to, keys }) => ({ from, to, aggregates: keys.map(splitKey) }));
    this.events.held?.({ held, settled: [] });
  }

  private reportSettled(groups: readonly Group[]): void {
    if (groups.length > 0) this.events.held?.({ held: [], settled: groups.map(({ from }) => from) });
  }

  /** The log is read from here on once more: the database has gone back. */
  private readAgain(from: number): void {
    const { held } = this;
    this.read = from - 1;
    const again = held.groups.filter((group) => group.from >= from);
    if (again.length === 0) return;
    held.settled(
      held.groups.filter((group) => group.from < from),
      held.rows,
      performance.now(),
    );
    this.reportSettled(again);
  }

  /** Another log's flush that stands still may be what holds them. */
  private async endFrozen(client: pg.Client): Promise<void> {
    const now = performance.now();
    if (this.held.rows.size === 0) this.lookedForFrozenAt = now;
    if (now - this.lookedForFrozenAt < lockTimeoutMs) return;
    this.lookedForFrozenAt = now;
    await endFrozenFlushes(client, this.schema);
  }

  private async tell(refused: readonly RefusedEvent[], stale: readonly RefusedEvent[], isNews: boolean): Promise<void> {
    const ours = stale.filter(({ position }) => position > this.told && position <= this.checkpoint);
    await this.report([...refused, ...ours], isNews);
    this.told = this.checkpoint;
    this.transaction.stale = [];
  }

  private async tellMissed(client: pg.ClientBase, isNews: boolean): Promise<void> {
    const refused = await refusedBetween(client, this.schema, this.logId, this.told + 1, this.checkpoint);
    await this.tell(refused, this.transaction.stale, isNews);
  }

  private async report(refused: readonly RefusedEvent[], isNews: boolean): Promise<void> {
    if (refused.length === 0) return;
    await this.events.quarantined(
      [...refused].sort((a, b) => a.position - b.position),
      isNews,
    );
  }

  private async connect(signal?: AbortSignal): Promise<void> {
    const { connection, schema, statementTimeoutMs: timeoutMs } = this.settings;
    this.session?.destroy();
    const session = await Session.open({ connection, schema, timeoutMs, name: flushName }, signal);
    try {
      await checkSchema(session.client, schema);
      this.checkpoint = await this.lockCheckpoint(session.client);
      if (this.hasGoneBack || this.checkpoint === this.tried) this.resumed = this.checkpoint;
      this.hasGoneBack = false;
      await this.compareHeld(session.client);
      this.session = session;
    } catch (error) {
      session.destroy();
      throw failure(error, schema);
    }
  }

  /** A COMMIT that went unanswered may have settled what waited. */
  private async compareHeld(client: pg.Client): Promise<void> {
    const { held, checkpoint } = this;
    const rows = await this.transaction.heldTable.rows(client);
    const before = held.groups;
    held.settled(before, rows, performance.now());
    // What lies behind the checkpoint comes again: the database has gone back.
    const gone = before.filter((group) => group.to <= checkpoint && !held.has(group));
    const [first, last] = [gone[0], gone.at(-1)];
    if (first === undefined || last === undefined) return;
    const isGone = ({ position }: RefusedEvent): boolean =>
      gone.some(({ from, to }) => from <= position && position <= to);
    const refused = await refusedBetween(client, this.schema, this.logId, first.from, last.to);
    const left = before.filter((group) => !gone.includes(group));
    held.settled(left, rows, performance.now());
    await this.report([...refused, ...this.transaction.stale].filter(isGone), true);
    this.reportSettled(gone);
  }

  /**
   * The checkpoint's row is locked, so this waits for what a connection that was given up may still commit; but not for one
   * whose client is gone and that the server still believes in.
   */
  private async lockCheckpoint(client: pg.ClientBase): Promise<number> {
    for (let hasLooked = false; ; hasLooked = true) {
      try {
        const timeoutMs = hasLooked ? lockTimeoutMs : patienceMs;
        const statement = lockCheckpoint(this.schema, this.logId, timeoutMs);
        const results = await executeEach(client, statement.text);
        return statement.oneIn(results.find(({ command }) => command === 'INSERT')!).position;
      } catch (error) {
        if (hasLooked || !isLockTimeout(error)) throw error;
        await client.query('rollback');
        await endFrozenFlushes(client, this.schema);
      }
    }
  }
}
