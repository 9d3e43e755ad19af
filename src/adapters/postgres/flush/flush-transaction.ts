// One transaction of the flush: heads, events, snapshots, what came by the outbox, quarantine, what waits for locks of others,
// and the checkpoint. Owned by the flush thread.
//
// Invariants: the checkpoint's row comes first, and is the lock on this log. No lock of another transaction is waited for longer
// than `headPatienceMs`, as long as what waits instead has room: the groups of the aggregate that it holds are left out.
import { finished } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { TrunklineError } from '../../../base/errors.ts';
import { tame } from '../../../base/tame.ts';
import type { RefusedEvent } from '../../../store/store.ts';
import { FrameReader } from '../../../wire/frame.ts';
import { EventRowWriter } from '../rows/rows.ts';
import { refusesData, storeName } from '../session/failure.ts';
import { isLockTimeout, patienceMs } from '../session/frozen.ts';
import { isServerError } from '../session/sqlstate.ts';
import { execute, executeEach } from '../session/statement.ts';
import { BasisStatement } from './basis.ts';
import { beginFlush, checkpointStatement, copyEventsSql, part, snapshotsStatement } from './flush-transaction-sql.ts';
import { HeadStatements, type Refusal } from './heads.ts';
import { undoHeads } from './heads-sql.ts';
import { bytesOf, type Frames, framesOf, type Group, groupsOf, keyOf, rowsFor, split } from './held-groups.ts';
import { HeldTable } from './held-table.ts';
import { headPatienceMs, LockedHeads } from './locked-heads.ts';
import { type Entry, type Plan, planOf } from './plan.ts';
import { quarantine } from './quarantine.ts';
import { RelayedStatements, relayedIn } from './relayed.ts';

/** For a lock that is none of an aggregate's; then whether a frozen flush holds it is looked at. */
export const lockTimeoutMs: number = 5 * patienceMs;

const looksMost = 4;

/** What one transaction has to bring. */
export interface Work {
  /** The checkpoint moves from here to there. */
  readonly from: number;
  readonly to: number;
  readonly frames: Frames;
  /** Of all its frames. */
  readonly plan: Plan;
  /** These wait in any case. */
  readonly held: readonly Group[];
  /** So many bytes more may wait. */
  readonly room: number;
  /** What the table of held aggregates has. */
  readonly rows: ReadonlyMap<string, number>;
  /** It tries again what waits: aggregates that are locked by now are left out from the first. */
  readonly isAgain: boolean;
  /** So many bytes at once; what is beyond waits on. Default: all. */
  readonly most?: number;
  /** Before the commit: these are refused. */
  refusing?(refused: readonly Refusal[], stale: readonly RefusedEvent[]): void;
}

/** What has become of it. */
export interface Done {
  readonly refused: readonly Refusal[];
  /** Answers that the store contradicts: they are in no table. */
  readonly stale: readonly RefusedEvent[];
  /** What waits of it now. */
  readonly held: readonly Group[];
  readonly rows: ReadonlyMap<string, number>;
}

interface Part {
  readonly frames: Frames;
  readonly plan: Plan;
  readonly held: readonly Group[];
}

interface Taken extends Part {
  readonly accepted: readonly Entry[];
  readonly refused: readonly Refusal[];
  readonly stale: readonly RefusedEvent[];
  readonly encoded: Buffer;
}

type StoreRows = (taken: Taken) => Promise<Refusal[]>;

export class FlushTransaction {
  private readonly schema: string;
  private readonly logId: string;
  private readonly heads: HeadStatements;
  private readonly locks: LockedHeads;
  readonly heldTable: HeldTable;
  private readonly bases: BasisStatement;
  private readonly relayed: RelayedStatements;
  private readonly rows: EventRowWriter;
  private readonly snapshots: ReturnType<typeof snapshotsStatement>;
  private readonly copySql: string;
  /** What the last one has found, committed or not. */
  stale: readonly RefusedEvent[] = [];

  /** `schema`: escaped. `isLastReader`: nothing but the store reads the log. */
  constructor(schema: string, logId: string, isLastReader: boolean) {
    this.schema = schema;
    this.logId = logId;
    this.heads = new HeadStatements(schema, logId, lockTimeoutMs);
    this.locks = new LockedHeads(schema);
    this.heldTable = new HeldTable(schema, logId);
    this.bases = new BasisStatement(schema, logId);
    this.relayed = new RelayedStatements(schema, logId, isLastReader);
    this.rows = new EventRowWriter(logId);
    this.snapshots = snapshotsStatement(schema);
    this.copySql = copyEventsSql(schema);
  }

  /** In one transaction; what the server refuses of it in a second attempt, event by event. @throws StoreBehind, LogFenced */
  async commit(client: pg.ClientBase, work: Work): Promise<Done> {
    try {
      return await this.attempt(client, work, async ({ frames, plan, accepted, encoded }) => {
        if (accepted.length > 0) {
          await this.copy(client, accepted === plan.entries ? encoded : this.rowsOf(frames, accepted));
        }
        return [];
      });
    } catch (error) {
      if (isServerError(error)) await client.query('rollback');
      if (!refusesData(error)) throw error;
    }
    try {
      return await this.attempt(client, work, ({ frames, accepted }) => this.copyWhatGoes(client, frames, accepted));
    } catch (error) {
      if (isServerError(error)) await client.query('rollback');
      throw error;
    }
  }

  private async attempt(client: pg.ClientBase, work: Work, store: StoreRows): Promise<Done> {
    await this.begin(client, work);
    const taken = await this.takeHeads(client, work);
    const { frames, plan, refused, stale } = taken;
    const all = [...refused, ...(await store(taken))];
    await this.keepSnapshots(client, frames, plan, refused);
    const relayed = relayedIn(frames);
    if (relayed) all.push(...(await this.relayed.settle(client, relayed, work.to)));
    if (all.length > 0) await quarantine(client, this.schema, this.logId, frames.bytes, all);
    const held = [...work.held, ...taken.held].sort((a, b) => a.from - b.from);
    const rows = rowsFor(held, work.isAgain ? undefined : work.rows);
    await this.heldTable.move(client, work.rows, rows);
    work.refusing?.(all, stale);
    await client.query('commit');
    return { refused: all, stale, held, rows };
  }

  /** The checkpoint first: its row is the lock on this log. */
  private async begin(client: pg.ClientBase, { from, to, plan, room, isAgain }: Work): Promise<void> {
    const isPatient = plan.runs.length > 0 && (isAgain || room > 0);
    const { schema, logId } = this;
    const start = { logId, from, to, lockTimeoutMs, headPatienceMs: isPatient ? headPatienceMs : undefined };
    const results = await executeEach(client, beginFlush(schema, start));
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
    const whole = Math.min(position, checkpoint?.before ?? position);
    return new TrunklineError('StoreBehind', { store: storeName, position: whole, expected });
  }

  /** The heads of all that others do not hold. */
  private async takeHeads(client: pg.ClientBase, work: Work): Promise<Taken> {
    const first = work.isAgain ? await this.locks.locked(client, [...work.rows.keys()]) : undefined;
    const locked = new Set(first?.locked);
    for (let looks = 1; ; looks++) {
      const part = partOf(work, locked);
      try {
        this.stale = await this.bases.stale(client, part.plan.bases);
        const { stale } = this;
        const deciding = this.heads.decide(client, part.plan.entries, part.plan.runs);
        deciding.catch(() => {}); // it is awaited below
        const encoded = this.rowsOf(part.frames, part.plan.entries); // while the server decides: mostly it takes them all
        return { ...part, ...(await deciding), stale, encoded };
      } catch (error) {
        if (!isLockTimeout(error) || looks === looksMost || (work.room <= 0 && !work.isAgain)) throw error;
        await execute(client, undoHeads);
        const keys = part.plan.runs.map(({ type, id }) => keyOf(type, id));
        for (const key of await this.locks.blocking(client, keys)) locked.add(key);
        if (!work.isAgain && bytesOf(partOf(work, locked).held) > work.room) throw error;
      }
    }
  }

  private rowsOf(frames: Frames, entries: readonly Entry[]): Buffer {
    const frame = new FrameReader(frames.bytes);
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
  private async copyWhatGoes(client: pg.ClientBase, frames: Frames, entries: readonly Entry[]): Promise<Refusal[]> {
    try {
      await execute(client, part.begin);
      await this.copy(client, this.rowsOf(frames, entries));
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
      const first = await this.copyWhatGoes(client, frames, entries.slice(0, middle));
      return [...first, ...(await this.copyWhatGoes(client, frames, entries.slice(middle)))];
    }
  }

  private async keepSnapshots(
    client: pg.ClientBase,
    frames: Frames,
    { runs, lateSnapshots }: Plan,
    refused: readonly Refusal[],
  ): Promise<void> {
    const fenced = new Set(refused.map(({ entry }) => entry.run));
    const offsets = runs.filter((run) => run.snapshot >= 0 && !fenced.has(run)).map((run) => run.snapshot);
    offsets.push(...lateSnapshots);
    if (offsets.length === 0) return;
    const frame = new FrameReader(frames.bytes);
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

/** What is left of it when these aggregates are held. */
function partOf({ frames, plan, most }: Work, locked: ReadonlySet<string>): Part {
  if (locked.size === 0 && most === undefined) return { frames, plan, held: [] };
  const { free, held } = split(groupsOf(frames), locked, most);
  const part = framesOf(free);
  return { frames: part, plan: planOf(part), held };
}
