// Which events of a batch the store takes: the heads in `aggregates` decide. One statement for the whole batch where every
// aggregate is this log's and every version follows; event by event where one is not.
//
// Invariants: heads are locked in one order by every writer, so that two of them never wait for each other in a circle; an
// event is taken only if this log owns the aggregate and its version follows the last one.
import type pg from 'pg';
import { execute } from '../session/statement.ts';
import {
  type HeadRow,
  headsSavepoint,
  lockStatement,
  moveStatement,
  overwriteStatement,
  type Runs,
} from './heads-sql.ts';
import type { Entry, Run } from './plan.ts';

/** Why an event was not taken. */
export interface Refusal {
  readonly entry: Entry;
  readonly code: 'Fenced' | 'VersionGap' | 'RefusedByServer' | 'LostByStore';
  readonly reason: string;
}

export interface Decision {
  readonly accepted: readonly Entry[];
  readonly refused: readonly Refusal[];
}

// What timestamptz can hold, in milliseconds: an event beyond must not keep its aggregate's head from moving.
const leastTimeMs = Date.UTC(-4711, 0, 1);
const greatestTimeMs = 8.64e15;

const clamp = (ms: number): number => Math.min(greatestTimeMs, Math.max(leastTimeMs, ms || 0));

export class HeadStatements {
  private readonly logId: string;
  private readonly move: ReturnType<typeof moveStatement>;
  private readonly lock: ReturnType<typeof lockStatement>;
  private readonly overwrite: ReturnType<typeof overwriteStatement>;

  /** `schema`: escaped. */
  constructor(schema: string, logId: string) {
    this.logId = logId;
    this.move = moveStatement(schema);
    this.lock = lockStatement(schema);
    this.overwrite = overwriteStatement(schema);
  }

  /** Move the heads, and say which events go with them. Within a transaction that holds savepoint `heads`. */
  async decide(client: pg.ClientBase, entries: readonly Entry[], runs: readonly Run[]): Promise<Decision> {
    if (runs.length === 0) return { accepted: entries, refused: [] };
    if (runs.every((run) => run.isWhole)) {
      const { count, has_orphan } = await this.move.one(client, this.columnsOf(runs));
      if (count === runs.length && !has_orphan) return { accepted: entries, refused: [] };
      await execute(client, headsSavepoint.undo);
    }
    return this.settle(client, entries, runs);
  }

  private columnsOf(runs: readonly Run[]): Runs {
    return {
      types: runs.map((run) => run.type),
      ids: runs.map((run) => run.id),
      before: runs.map((run) => run.first - 1),
      versions: runs.map((run) => run.last),
      positions: runs.map((run) => run.lastPosition),
      firstAt: runs.map((run) => clamp(run.firstAt)),
      lastAt: runs.map((run) => clamp(run.lastAt)),
      logId: this.logId,
    };
  }

  /** One event after the other, against heads that no other writer moves meanwhile. */
  private async settle(client: pg.ClientBase, entries: readonly Entry[], runs: readonly Run[]): Promise<Decision> {
    const { types, ids } = this.columnsOf(runs);
    const rows = await this.lock.run(client, { types, ids });
    const heads = new Map<string, HeadRow>();
    for (const row of rows) heads.set(`${row.aggregate_type}\0${row.aggregate_id}`, row);
    const accepted: Entry[] = [];
    const refused: Refusal[] = [];
    const moved = new Map<Run, { version: number; from: number; entry: Entry }>();
    const versions = new Map<Run, number>();
    for (const entry of entries) {
      const { run, version } = entry;
      const head = heads.get(`${run.type}\0${run.id}`);
      const last = versions.get(run) ?? head?.version ?? 0;
      if (head !== undefined && head.log_id !== this.logId) {
        const owner = head.log_id === null ? 'transactions of the user' : `log ${head.log_id}`;
        const reason = `written by ${owner} since (epoch ${head.epoch}, version ${head.version})`;
        refused.push({ entry, code: 'Fenced', reason });
      } else if (version !== last + 1) {
        refused.push({ entry, code: 'VersionGap', reason: `version ${version} came where ${last + 1} was due` });
      } else {
        versions.set(run, version);
        moved.set(run, { version, from: moved.get(run)?.from ?? version - 1, entry });
        accepted.push(entry);
      }
    }
    const changed = [...moved].map(([run, { version, from, entry }]) => ({
      ...run,
      first: from + 1,
      last: version,
      lastPosition: entry.position,
    }));
    if (changed.length > 0) {
      const { count } = await this.overwrite.one(client, this.columnsOf(changed));
      if (count !== changed.length) throw new Error('another log has begun one of these aggregates');
    }
    return { accepted, refused };
  }
}
