// Which events of a batch the store takes: the heads in `aggregates` decide. One statement for the whole batch where every
// aggregate is this log's and every version follows; event by event where one is not.
//
// Invariants: heads are locked in one order by every writer, so that two of them never wait for each other in a circle; an
// event is taken only if this log owns the aggregate and its version follows the last one.
import type pg from 'pg';
import { patienceMs } from '../session/frozen.ts';
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

interface HeadRow {
  version: number;
  log_id: string | null;
  epoch: string;
}

// What timestamptz can hold, in milliseconds: an event beyond must not keep its aggregate's head from moving.
const leastTimeMs = Date.UTC(-4711, 0, 1);
const greatestTimeMs = 8.64e15;

const clamp = (ms: number): number => Math.min(greatestTimeMs, Math.max(leastTimeMs, ms || 0));

export class HeadStatements {
  private readonly logId: string;
  private readonly upsert: string;
  private readonly lock: string;
  private readonly overwrite: string;

  private readonly lockTimeoutMs: number;

  /** `schema`: escaped. `lockTimeoutMs`: how long the transaction waits for locks once it has its heads. */
  constructor(schema: string, logId: string, lockTimeoutMs: number = 5 * patienceMs) {
    this.logId = logId;
    this.lockTimeoutMs = lockTimeoutMs;
    const table = `${schema}.aggregates`;
    const input = `unnest($1::text[], $2::text[], $3::int[], $4::int[], $5::bigint[], $6::float8[], $7::float8[])
      as run (type, id, previous, version, position, first_at, last_at)`;
    const insert = `insert into ${table} as head (aggregate_type, aggregate_id, version, previous_version, log_id,
        position, first_occurred_at, last_occurred_at)
      select type, id, version, previous, $8, position, pg_catalog.to_timestamp(first_at / 1000), pg_catalog.to_timestamp(last_at / 1000)
      from ${input} order by type collate "C", id collate "C"
      on conflict (aggregate_type, aggregate_id) do update set
        version = excluded.version, previous_version = excluded.previous_version, log_id = excluded.log_id,
        position = excluded.position,
        first_occurred_at = least(head.first_occurred_at, excluded.first_occurred_at),
        last_occurred_at = greatest(head.last_occurred_at, excluded.last_occurred_at),
        updated_at = pg_catalog.now()`;
    // xmax is 0 in a row that was inserted: there was no head, so the version before must be 0.
    this.upsert = `with moved as (${insert}
        where head.log_id = excluded.log_id and head.version = excluded.previous_version
          and head.position < excluded.position
        returning previous_version > 0 and xmax = 0 as is_orphan)
      select pg_catalog.count(*)::float8 as count, coalesce(pg_catalog.bool_or(is_orphan), false) as has_orphan,
        pg_catalog.set_config('lock_timeout', '${lockTimeoutMs}', true) from moved`;
    this.lock = `select aggregate_type, aggregate_id, version, log_id, epoch
      from ${table} where (aggregate_type, aggregate_id) in (select * from unnest($1::text[], $2::text[]))
      order by aggregate_type collate "C", aggregate_id collate "C" for update`;
    this.overwrite = `with moved as (${insert}
        where head.log_id = excluded.log_id returning 1) select pg_catalog.count(*)::float8 as count from moved`;
  }

  /** Move the heads, and say which events go with them. Within a transaction that holds savepoint `heads`. */
  async decide(client: pg.ClientBase, entries: readonly Entry[], runs: readonly Run[]): Promise<Decision> {
    if (runs.length === 0) return { accepted: entries, refused: [] };
    if (runs.every((run) => run.isWhole)) {
      const { rows } = await client.query(this.upsert, this.values(runs));
      if (rows[0].count === runs.length && !rows[0].has_orphan) return { accepted: entries, refused: [] };
      await client.query('rollback to savepoint heads');
    }
    const decision = await this.settle(client, entries, runs);
    await client.query(`set local lock_timeout = ${this.lockTimeoutMs}`);
    return decision;
  }

  private values(runs: readonly Run[]): unknown[] {
    return [
      runs.map((run) => run.type),
      runs.map((run) => run.id),
      runs.map((run) => run.first - 1),
      runs.map((run) => run.last),
      runs.map((run) => run.lastPosition),
      runs.map((run) => clamp(run.firstAt)),
      runs.map((run) => clamp(run.lastAt)),
      this.logId,
    ];
  }

  /** One event after the other, against heads that no other writer moves meanwhile. */
  private async settle(client: pg.ClientBase, entries: readonly Entry[], runs: readonly Run[]): Promise<Decision> {
    const { rows } = await client.query(this.lock, [runs.map((run) => run.type), runs.map((run) => run.id)]);
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
      const { rows: counts } = await client.query(this.overwrite, this.values(changed));
      if (counts[0].count !== changed.length) throw new Error('another log has begun one of these aggregates');
    }
    return { accepted, refused };
  }
}
