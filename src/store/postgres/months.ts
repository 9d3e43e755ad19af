// The months of domain_events as an administrator sees them: which partitions there are, made ahead, and the default
// partition emptied into the months that it holds. Runs wherever it is called, on a connection of its own.
//
// Invariants: one upkeep at a time (an advisory lock); no lock is waited for longer than `lockTimeoutMs`, so that whoever
// inserts never waits longer behind us; an event is in one partition at every moment that anyone can see.
import pg from 'pg';
import { TrunklineError } from '../../errors.ts';
import { codeOf } from './failure.ts';

/** One partition. */
export interface PartitionInfo {
  readonly name: string;
  /** `2026-01`; undefined: the default partition. */
  readonly month: string | undefined;
  readonly rows: number;
  readonly bytes: number;
  /** Events that no log has yet. */
  readonly inOutbox: number;
}

const lockTimeoutMs = 2000;
const attempts = 5;
const lockNotAvailable = '55P03';
const checkViolation = '23514';

export const partitionOf = (month: string): string => `domain_events_${month.replace('-', '_')}`;

/** `2026-01`, or InvalidOptions. */
export function checkMonth(option: string, month: string): string {
  if (/^\d{4}-(0[1-9]|1[0-2])$/.test(month)) return month;
  throw new TrunklineError('InvalidOptions', { option, value: month, reason: 'must be a month like 2026-01' });
}

/** All of them, the oldest month first, the default partition last. Counts exactly: for large tables this takes a while. */
export async function listPartitions(client: pg.ClientBase, schema: string): Promise<PartitionInfo[]> {
  const name = pg.escapeIdentifier(schema);
  const { rows } = await client.query(
    `select c.relname as name, pg_total_relation_size(c.oid)::float8 as bytes
     from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = $1::regclass order by c.relname = 'domain_events_default', c.relname`,
    [`${name}.domain_events`],
  );
  const partitions: PartitionInfo[] = [];
  for (const row of rows) {
    const table = `${name}.${pg.escapeIdentifier(row.name)}`;
    const { rows: counts } = await client.query(
      `select count(*)::float8 as rows, count(o.sequence)::float8 as waiting
       from ${table} e left join ${name}.outbox o on o.id = e.id and o.occurred_at = e.occurred_at`,
    );
    const month = /^domain_events_(\d{4})_(\d{2})$/.exec(row.name);
    partitions.push({
      name: row.name,
      month: month ? `${month[1]}-${month[2]}` : undefined,
      rows: counts[0].rows,
      bytes: row.bytes,
      inOutbox: counts[0].waiting,
    });
  }
  return partitions;
}

/**
 * Make the partitions of this month and the next ones, and those of the months that the default partition holds, whose
 * events move there. Returns the names of those made; nothing if another upkeep is at work.
 */
export async function keepPartitions(client: pg.ClientBase, schema: string, monthsAhead: number): Promise<string[]> {
  const name = pg.escapeIdentifier(schema);
  const lock = ['trunkline.upkeep', schema];
  const { rows: held } = await client.query('select pg_try_advisory_lock(hashtext($1), hashtext($2)) as held', lock);
  if (!held[0].held) return [];
  try {
    const made: string[] = [];
    const { rows: months } = await client.query(
      `select to_char(m, 'YYYY-MM') as month from (
         select distinct date_trunc('month', occurred_at at time zone 'UTC') as m from ${name}.domain_events_default
         where occurred_at >= '0001-01-01' and occurred_at < '9999-12-01'
         union select date_trunc('month', now() at time zone 'UTC') + make_interval(months => i)
         from generate_series(0, $1::int) i) each order by m`,
      [monthsAhead],
    );
    for (const { month } of months) {
      const partition = await retried(client, () => makeMonth(client, name, month));
      if (partition !== undefined) made.push(partition);
    }
    return made;
  } finally {
    await client.query('select pg_advisory_unlock(hashtext($1), hashtext($2))', lock);
  }
}

/**
 * Copied beside while nobody is kept waiting; then, with everybody held for a moment, completed, emptied from the default
 * partition and attached. Undefined if it was there.
 *
 * Everybody is held at domain_events itself. A writer that had been sent on to the default partition already would wait
 * there, and afterwards fail for a row that does not belong there any more; a reader would wait there, and afterwards see
 * neither the rows that have gone nor the partition that they have gone to.
 */
async function makeMonth(client: pg.ClientBase, schema: string, month: string): Promise<string | undefined> {
  const partition = partitionOf(month);
  const [events, rest, table] = [
    `${schema}.domain_events`,
    `${schema}.domain_events_default`,
    `${schema}.${partition}`,
  ];
  const { rows } = await client.query(
    'select exists (select from pg_inherits where inhrelid = to_regclass($1)) as there',
    [table],
  );
  if (rows[0].there) return undefined;
  const bounds = `from ('${startOf(month)}') to ('${startOf(after(month))}')`;
  const inMonth = `d.occurred_at >= '${startOf(month)}' and d.occurred_at < '${startOf(after(month))}'`;
  await client.query(`drop table if exists ${table}`); // what a crash has left
  await client.query(
    `create table ${table} (like ${events} including defaults including constraints including indexes)`,
  );
  await client.query(`insert into ${table} select d.* from ${rest} d where ${inMonth}`);
  await client.query(`begin; set local lock_timeout = ${lockTimeoutMs}`);
  await client.query(`lock table ${events} in access exclusive mode`);
  await client.query(`insert into ${table} select d.* from ${rest} d
    where ${inMonth} and not exists (select from ${table} t where t.id = d.id and t.occurred_at = d.occurred_at)`);
  await client.query(`update ${table} t set position = d.position, log_id = d.log_id from ${rest} d
    where d.id = t.id and d.occurred_at = t.occurred_at and d.position is distinct from t.position`);
  await client.query(`delete from ${rest} d where ${inMonth}`);
  await client.query(`alter table ${events} attach partition ${table} for values ${bounds}`);
  await client.query('commit');
  return partition;
}

const startOf = (month: string): string => `${month}-01T00:00:00Z`;

function after(month: string): string {
  const [year, number] = month.split('-').map(Number) as [number, number];
  const next = number === 12 ? [year + 1, 1] : [year, number + 1];
  return `${String(next[0]).padStart(4, '0')}-${String(next[1]).padStart(2, '0')}`;
}

/** Again, where another's lock or a row that has slipped in stood in the way. The transaction is rolled back in any case. */
export async function retried<T>(client: pg.ClientBase, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      await client.query('rollback').catch(() => {});
      const mayPass = [lockNotAvailable, checkViolation, '40P01', '42P07'].includes(codeOf(error));
      if (!mayPass || attempt === attempts) throw error;
    }
  }
}
