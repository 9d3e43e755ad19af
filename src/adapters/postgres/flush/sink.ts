// PostgreSQL as the flusher drives it: one batch, one transaction of heads, events, quarantine and checkpoint. Owned by the
// flush thread.
//
// Invariants: the checkpoint row moves in the transaction that holds the events, from where this sink last saw it; so a
// batch whose COMMIT went unanswered is found done or undone by reading it again, and two processes that flush the same log
// (a copied data directory) cannot both go on. Every event is in `domain_events` or in `quarantined_events`, once.
import { finished } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { dateMs } from '../../../base/clock.ts';
import { TrunklineError } from '../../../base/errors.ts';
import { revealed } from '../../../base/hidden.ts';
import { onAbort } from '../../../base/on-abort.ts';
import { tame } from '../../../base/tame.ts';
import type { Batch, Sink } from '../../../log/sink.ts';
import type { RefusedEvent } from '../../../store/store.ts';
import { FrameReader } from '../../../wire/frame.ts';
import { Partitions } from '../partitions/partitions.ts';
import { EventRowWriter, eventColumns } from '../rows/rows.ts';
import { migrate } from '../schema/migrate.ts';
import { checkSchema, Session } from '../schema/session.ts';
import { failure, refusesData, storeName } from '../session/failure.ts';
import { endFrozenFlushes, flushName, isLockTimeout, patienceMs } from '../session/frozen.ts';
import type { PostgresSettings } from '../session/postgres.ts';
import { beginSql } from '../session/server-session.ts';
import { isServerError } from '../session/sqlstate.ts';
import { BasisStatement } from './basis.ts';
import { HeadStatements, type Refusal } from './heads.ts';
import { type Entry, type Plan, planOf } from './plan.ts';
import { noticeOf, quarantine, refusedBetween } from './quarantine.ts';
import { RelayedStatements, relayedIn } from './relayed.ts';

export interface PostgresSinkEvents {
  /** Committed: these were not taken. Not `isNews`: they were not in an earlier run, which may not have said so. */
  quarantined(refused: readonly RefusedEvent[], isNews: boolean): void | Promise<void>;
  /** Something that does not stop the flush. */
  report?(error: TrunklineError): void;
  /** Whether nothing else reads the log: a stream, sinks. Default true. */
  readonly isLastReader?: boolean;
}

const lockTimeoutMs = 5 * patienceMs; // then whether a frozen flush holds the lock is looked at

export class PostgresSink implements Sink {
  readonly takesParts = true;
  private readonly settings: PostgresSettings;
  private readonly logId: string;
  private readonly firstPosition: number;
  private readonly events: PostgresSinkEvents;
  private readonly schema: string;
  private readonly heads: HeadStatements;
  private readonly bases: BasisStatement;
  private readonly partitions: Partitions;
  private readonly relayed: RelayedStatements;
  private readonly rows: EventRowWriter;
  private readonly copySql: string;
  private session: Session | undefined;
  private isMigrated = false;
  private checkpoint = 0;
  /** What was refused up to here has been reported. */
  private told = 0;
  /** Answers that the last transaction has found contradicted: they are in no table. */
  private stale: readonly RefusedEvent[] = [];

  /** `firstPosition`: the first that the log still keeps; 0 or 1: all of it. */
  constructor(settings: PostgresSettings, logId: string, firstPosition: number, events: PostgresSinkEvents) {
    this.settings = settings;
    this.logId = logId;
    this.firstPosition = firstPosition;
    this.events = events;
    this.schema = pg.escapeIdentifier(settings.schema);
    this.heads = new HeadStatements(this.schema, logId);
    this.bases = new BasisStatement(this.schema, logId);
    this.partitions = new Partitions(this.schema);
    this.relayed = new RelayedStatements(this.schema, logId, events.isLastReader ?? true);
    this.rows = new EventRowWriter(logId);
    this.copySql = `copy ${this.schema}.domain_events (${eventColumns}) from stdin (format binary)`;
  }

  /** @throws StoreUnavailable, StoreAccessDenied, StoreSchemaMissing, StoreSchemaNewer, StoreSchemaMismatch, PositionGone */
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
    const sql = "select current_user as role, pg_catalog.has_function_privilege($1, 'execute') as may";
    try {
      const { rows } = await client.query(sql, [`${this.schema}.make_partition(timestamptz)`]);
      if (rows[0].may) return;
      const cause = `role ${rows[0].role} may not execute make_partition, so events lie in the default partition`;
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
      if (this.checkpoint >= batch.toPosition) return this.checkpoint;
      const plan = planOf(batch);
      await this.partitions.prepare(client, plan.months, dateMs());
      const refused = await this.commit(client, batch, plan);
      this.checkpoint = batch.toPosition;
      await this.tell(refused.map(noticeOf), true);
      return this.checkpoint;
    } catch (error) {
      if (isLockTimeout(error)) await endFrozenFlushes(this.session!.client, this.schema).catch(() => {});
      this.session?.failed(error);
      throw failure(error, this.settings.schema);
    } finally {
      forget();
    }
  }

  async close(): Promise<void> {
    await this.session?.close();
  }

  private async tell(refused: readonly RefusedEvent[], isNews: boolean): Promise<void> {
    const stale = this.stale.filter(({ position }) => position > this.told && position <= this.checkpoint);
    const all = [...refused, ...stale].sort((a, b) => a.position - b.position);
    if (all.length > 0) await this.events.quarantined(all, isNews);
    this.told = this.checkpoint;
    this.stale = [];
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
      session.destroy();
      throw failure(error, schema);
    }
  }

  /**
   * The checkpoint's row is locked, so this waits for what a connection that was given up may still commit; but not for one
   * whose client is gone and that the server still believes in.
   */
  private async lockCheckpoint(client: pg.ClientBase): Promise<number> {
    const sql = (timeoutMs: number): string => `${beginSql(`lock_timeout = ${timeoutMs}`)};
      insert into ${this.schema}.flush_checkpoints (log_id, position) values (${pg.escapeLiteral(this.logId)}, 0)
        on conflict (log_id) do update set updated_at = pg_catalog.now() returning position;
      commit`;
    for (let hasLooked = false; ; hasLooked = true) {
      try {
        const results = (await client.query(
          sql(hasLooked ? lockTimeoutMs : patienceMs),
        )) as unknown as pg.QueryResult[];
        return Number(results.find(({ command }) => command === 'INSERT')!.rows[0].position);
      } catch (error) {
        if (hasLooked || !isLockTimeout(error)) throw error;
        await client.query('rollback');
        await endFrozenFlushes(client, this.schema);
      }
    }
  }

  /** In one transaction; what the server refuses of it in a second attempt, event by event. */
  private async commit(client: pg.ClientBase, batch: Batch, plan: Plan): Promise<readonly Refusal[]> {
    try {
      return await this.transaction(client, batch, plan, async (entries, rows) => {
        if (entries.length > 0) await this.copy(client, entries === plan.entries ? rows : this.rowsOf(batch, entries));
        return [];
      });
    } catch (error) {
      if (isServerError(error)) await client.query('rollback');
      if (!refusesData(error)) throw error;
    }
    try {
      return await this.transaction(client, batch, plan, (entries) => this.copyWhatGoes(client, batch, entries));
    } catch (error) {
      if (isServerError(error)) await client.query('rollback');
      throw error;
    }
  }

  private async transaction(
    client: pg.ClientBase,
    batch: Batch,
    plan: Plan,
    store: (entries: readonly Entry[], rows: Buffer) => Promise<Refusal[]>,
  ): Promise<Refusal[]> {
    await this.begin(client, batch);
    this.stale = await this.bases.stale(client, plan.bases);
    const deciding = this.heads.decide(client, plan.entries, plan.runs);
    deciding.catch(() => {}); // it is awaited below
    const rows = this.rowsOf(batch, plan.entries); // while the server decides: mostly it takes them all
    const { accepted, refused } = await deciding;
    const all = [...refused, ...(await store(accepted, rows))];
    await this.keepSnapshots(client, batch, plan, refused);
    const relayed = relayedIn(batch);
    if (relayed) all.push(...(await this.relayed.settle(client, relayed, batch.toPosition)));
    if (all.length > 0) await quarantine(client, this.schema, this.logId, batch.bytes, all);
    await client.query('commit');
    return all;
  }

  /** The checkpoint first: its row is the lock on this log. */
  private async begin(client: pg.ClientBase, batch: Batch): Promise<void> {
    const { checkpoint } = this;
    const results = (await client.query(
      `${beginSql(`lock_timeout = ${lockTimeoutMs}`)};
       update ${this.schema}.flush_checkpoints set position = ${batch.toPosition}, updated_at = pg_catalog.now()
         where log_id = ${pg.escapeLiteral(this.logId)} and position = ${checkpoint};
       savepoint heads`,
    )) as unknown as pg.QueryResult[];
    const expected = batch.followsLoss ? checkpoint : batch.fromPosition - 1;
    if (results.find(({ command }) => command === 'UPDATE')!.rowCount === 1 && expected === checkpoint) return;
    await client.query('rollback');
    const { rows } = await client.query(
      `select position::float8 as position from ${this.schema}.flush_checkpoints where log_id = $1`,
      [this.logId],
    );
    const position: number = rows[0]?.position ?? 0;
    // A checkpoint only moves on: one that has moved back is an earlier state of the database, not another process.
    if (position < expected) {
      this.session?.destroy(); // the next one makes the row if it is gone
      throw new TrunklineError('StoreBehind', { store: storeName, position, expected });
    }
    throw new TrunklineError('LogFenced', { logId: this.logId, position: expected });
  }

  private rowsOf(batch: Batch, entries: readonly Entry[]): Buffer {
    const frame = new FrameReader(batch.bytes);
    this.rows.begin();
    for (const { offset, position } of entries) this.rows.add(frame.at(offset), position);
    return this.rows.bytes();
  }

  private async copy(client: pg.ClientBase, rows: Buffer): Promise<void> {
    const stream = client.query(copyFrom(this.copySql));
    stream.end(rows);
    await finished(stream);
  }

  /** Halve what is refused until single events stand alone. */
  private async copyWhatGoes(client: pg.ClientBase, batch: Batch, entries: readonly Entry[]): Promise<Refusal[]> {
    try {
      await client.query('savepoint part');
      await this.copy(client, this.rowsOf(batch, entries));
      await client.query('release savepoint part');
      return [];
    } catch (error) {
      if (!refusesData(error)) throw error;
      await client.query('rollback to savepoint part');
      if (entries.length === 1) {
        const [entry] = entries;
        return [{ entry: entry!, code: 'RefusedByServer', reason: tame(error) }];
      }
      const middle = entries.length >> 1;
      const first = await this.copyWhatGoes(client, batch, entries.slice(0, middle));
      return [...first, ...(await this.copyWhatGoes(client, batch, entries.slice(middle)))];
    }
  }

  private async keepSnapshots(
    client: pg.ClientBase,
    batch: Batch,
    { runs, lateSnapshots }: Plan,
    refused: readonly Refusal[],
  ): Promise<void> {
    const fenced = new Set(refused.map(({ entry }) => entry.run));
    const offsets = runs.filter((run) => run.snapshot >= 0 && !fenced.has(run)).map((run) => run.snapshot);
    offsets.push(...lateSnapshots);
    if (offsets.length === 0) return;
    const frame = new FrameReader(batch.bytes);
    const column = <T>(read: (frame: FrameReader) => T): T[] => offsets.map((offset) => read(frame.at(offset)));
    // Distinct: the newest of an aggregate; and only of aggregates that are this log's.
    await client.query(
      `insert into ${this.schema}.snapshots as kept (aggregate_type, aggregate_id, version, fingerprint, state)
       select distinct on (type, id) type, id, taken.version, fingerprint, state
       from unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::json[]) as taken (type, id, version, fingerprint, state)
       join ${this.schema}.aggregates head
         on head.aggregate_type = type and head.aggregate_id = id and head.log_id = $6
       order by type, id, taken.version desc
       on conflict (aggregate_type, aggregate_id) do update set
         version = excluded.version, fingerprint = excluded.fingerprint, state = excluded.state, taken_at = pg_catalog.now()
         where kept.version < excluded.version`,
      [
        column((at) => at.aggregateType),
        column((at) => at.aggregateId),
        column((at) => at.version),
        column((at) => at.name),
        column((at) => at.dataJson),
        this.logId,
      ],
    );
  }
}
