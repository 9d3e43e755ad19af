// One transaction of the flush: heads, events, snapshots, what came by the outbox, quarantine, and the checkpoint. Owned by the
// flush thread.
//
// Invariant: the checkpoint's row comes first, and is the lock on this log.
import { finished } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { TrunklineError } from '../../../base/errors.ts';
import { tame } from '../../../base/tame.ts';
import type { Batch } from '../../../log/sink.ts';
import type { RefusedEvent } from '../../../store/store.ts';
import { FrameReader } from '../../../wire/frame.ts';
import { EventRowWriter } from '../rows/rows.ts';
import { refusesData, storeName } from '../session/failure.ts';
import { patienceMs } from '../session/frozen-sql.ts';
import { lockTimeoutMs } from '../session/session-sql.ts';
import { isServerError } from '../session/sqlstate.ts';
import { execute, executeEach } from '../session/statement.ts';
import { BasisStatement } from './basis.ts';
import { beginFlush, checkpointStatement, copyEventsSql, part, snapshotsStatement } from './flush-transaction-sql.ts';
import { HeadStatements, type Refusal } from './heads.ts';
import type { Entry, Plan } from './plan.ts';
import { quarantine } from './quarantine.ts';
import { RelayedStatements, relayedIn } from './relayed.ts';

/**
 * How long a lock is waited for; then who holds it is looked at. Short: meanwhile this transaction holds the heads that it has
 * moved, which another machine's load may wait for (`loadTimeoutMs`). `timeoutMs`: of a statement.
 */
export const lockWaitMs = (timeoutMs: number): number => Math.min(2 * patienceMs, lockTimeoutMs(timeoutMs));

/** What one transaction has to bring: the checkpoint moves from `from` to the batch's end. */
export interface Work {
  readonly from: number;
  readonly batch: Batch;
  /** Of all its frames. */
  readonly plan: Plan;
}

/** Stores the events that the heads have accepted; `encoded`: the rows of all of the plan's. Returns what the server refuses. */
type StoreRows = (accepted: readonly Entry[], encoded: Buffer) => Promise<Refusal[]>;

export class FlushTransaction {
  private readonly schema: string;
  private readonly logId: string;
  private readonly heads: HeadStatements;
  private readonly bases: BasisStatement;
  private readonly relayed: RelayedStatements;
  private readonly rows: EventRowWriter;
  private readonly snapshots: ReturnType<typeof snapshotsStatement>;
  private readonly copySql: string;
  private readonly lockWaitMs: number;
  /** Answers without events whose version the store contradicts: as the last try found them, committed or not. No table has them. */
  stale: readonly RefusedEvent[] = [];

  /** `schema`: escaped. `isLastReader`: nothing but the store reads the log. `timeoutMs`: of a statement. */
  constructor(schema: string, logId: string, isLastReader: boolean, timeoutMs: number) {
    this.schema = schema;
    this.logId = logId;
    this.heads = new HeadStatements(schema, logId);
    this.bases = new BasisStatement(schema, logId);
    this.relayed = new RelayedStatements(schema, logId, isLastReader);
    this.rows = new EventRowWriter(logId);
    this.snapshots = snapshotsStatement(schema);
    this.copySql = copyEventsSql(schema);
    this.lockWaitMs = lockWaitMs(timeoutMs);
  }

  /** In one transaction; what the server refuses of it in a second attempt, event by event. Returns what is refused. @throws StoreBehind, LogFenced */
  async commit(client: pg.ClientBase, work: Work): Promise<readonly Refusal[]> {
    const { batch, plan } = work;
    try {
      return await this.attempt(client, work, async (accepted, encoded) => {
        if (accepted.length > 0)
          await this.copy(client, accepted === plan.entries ? encoded : this.rowsOf(batch, accepted));
        return [];
      });
    } catch (error) {
      if (isServerError(error)) await client.query('rollback');
      if (!refusesData(error)) throw error;
    }
    try {
      return await this.attempt(client, work, (accepted) => this.copyWhatGoes(client, batch, accepted));
    } catch (error) {
      if (isServerError(error)) await client.query('rollback');
      throw error;
    }
  }

  private async attempt(
    client: pg.ClientBase,
    { from, batch, plan }: Work,
    store: StoreRows,
  ): Promise<readonly Refusal[]> {
    await this.begin(client, from, batch.toPosition);
    this.stale = await this.bases.stale(client, plan.bases);
    const deciding = this.heads.decide(client, plan.entries, plan.runs);
    deciding.catch(() => {}); // it is awaited below
    const encoded = this.rowsOf(batch, plan.entries); // while the server decides: mostly it takes them all
    const { accepted, refused } = await deciding;
    const all = [...refused, ...(await store(accepted, encoded))];
    await this.keepSnapshots(client, batch, plan, refused);
    const relayed = relayedIn(batch);
    if (relayed) all.push(...(await this.relayed.settle(client, relayed, batch.toPosition)));
    if (all.length > 0) await quarantine(client, this.schema, this.logId, batch.bytes, all);
    await client.query('commit');
    return all;
  }

  /** The checkpoint first: its row is the lock on this log. */
  private async begin(client: pg.ClientBase, from: number, to: number): Promise<void> {
    const { schema, logId, lockWaitMs } = this;
    const results = await executeEach(client, beginFlush(schema, { logId, from, to, lockWaitMs }));
    if (results.find(({ command }) => command === 'UPDATE')!.rowCount === 1) return;
    await client.query('rollback');
    throw await this.contradiction(client, from);
  }

  /** Why the checkpoint is not where it was. A checkpoint only moves on: one that has moved back is an earlier state of the database. */
  async contradiction(client: pg.ClientBase, expected: number): Promise<TrunklineError> {
    const { logId } = this;
    const [checkpoint] = await checkpointStatement(this.schema).run(client, { logId });
    const position = checkpoint?.position ?? 0;
    if (position >= expected) return new TrunklineError('LogFenced', { logId, position: expected });
    return new TrunklineError('StoreBehind', { store: storeName, position, expected });
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
      await execute(client, part.begin);
      await this.copy(client, this.rowsOf(batch, entries));
      await execute(client, part.keep);
      return [];
    } catch (error) {
      if (!refusesData(error)) throw error;
      await execute(client, part.undo);
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
    await this.snapshots.count(client, {
      types: column((at) => at.aggregateType),
      ids: column((at) => at.aggregateId),
      versions: column((at) => at.version),
      fingerprints: column((at) => at.name),
      states: column((at) => at.dataJson),
      logId: this.logId,
    });
  }
}
