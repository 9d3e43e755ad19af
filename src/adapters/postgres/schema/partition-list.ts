// What partitions domain_events has: by the ranges that they are attached with, never by their names. Which months may be made, and
// within what bound, the schema's function month_state alone says (migration 18).
import pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import { shown } from '../../../base/shown.ts';

/** One partition. */
export interface PartitionInfo {
  readonly name: string;
  /** `2026-01`; undefined: the default partition, or one with a range of its own, which is left alone. */
  readonly month: string | undefined;
  /** Of one with a range of its own. */
  readonly range?: string;
  readonly rows: number;
  readonly bytes: number;
  /** Events that no log has yet. */
  readonly inOutbox: number;
}

/** As month_state says it. */
export type MonthState = 'free' | 'there' | 'covered' | 'taken' | 'beyond' | 'full';

/** What the default partition holds. */
export interface InDefault {
  /** Months within the bound, the oldest first. */
  readonly held: readonly string[];
  /** Events of months beyond it. */
  readonly beyond: number;
}

/** Events beyond the bound are counted up to this number. */
const beyondMost = 10_000;
const rangesNamedMost = 100;

export const partitionOf = (month: string): string => `domain_events_${month.replace('-', '_')}`;
export const startOf = (month: string): string => `${month}-01T00:00:00Z`;

/** `2026-01`, or InvalidOptions. */
export function checkMonth(option: string, month: string): string {
  if (/^\d{4}-(0[1-9]|1[0-2])$/.test(month)) return month;
  throw new TrunklineError('InvalidOptions', { option, value: shown(month), reason: 'must be a month like 2026-01' });
}

/** All of them, the oldest first, the default partition last. Counts exactly: for large tables this takes a while. */
export async function listPartitions(client: pg.ClientBase, schema: string): Promise<PartitionInfo[]> {
  const name = pg.escapeIdentifier(schema);
  const { rows } = await client.query(
    `select c.relname as name, n.nspname as home, pg_catalog.pg_total_relation_size(c.oid)::float8 as bytes,
       case when r.is_month then pg_catalog.to_char(r.range_start at time zone 'UTC', 'YYYY-MM') end as month,
       case when not r.is_month then r.range_start::text || ' to ' || r.range_end::text end as range
     from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       left join ${name}.partition_ranges() r on r.partition_oid = c.oid
     where i.inhparent = $1::regclass order by r.range_start nulls last, c.relname`,
    [`${name}.domain_events`],
  );
  const partitions: PartitionInfo[] = [];
  for (const row of rows) {
    const table = `${pg.escapeIdentifier(row.home)}.${pg.escapeIdentifier(row.name)}`;
    const { rows: counts } = await client.query(
      `select pg_catalog.count(*)::float8 as rows, pg_catalog.count(o.sequence)::float8 as waiting
       from ${table} e left join ${name}.outbox o on o.id = e.id and o.occurred_at = e.occurred_at`,
    );
    partitions.push({
      name: row.name,
      month: row.month ?? undefined,
      ...(row.range !== null && { range: row.range }),
      rows: counts[0].rows,
      bytes: row.bytes,
      inOutbox: counts[0].waiting,
    });
  }
  return partitions;
}

/** What stands in the way of a partition of this month. */
export async function stateOf(
  client: pg.ClientBase,
  schema: string,
  month: string,
): Promise<{ state: MonthState; reason: string | null }> {
  const sql = `select state, reason from ${pg.escapeIdentifier(schema)}.month_state($1::timestamptz)`;
  return (await client.query(sql, [startOf(month)])).rows[0];
}

/**
 * Whether there is a partition of this month, and of it alone.
 * @throws StoreSchemaMismatch if its table is no partition, one that was detached, for example, or has another range
 */
export async function isAttached(client: pg.ClientBase, schema: string, month: string): Promise<boolean> {
  const { state, reason } = await stateOf(client, schema, month);
  if (state !== 'taken') return state === 'there';
  throw new TrunklineError('StoreSchemaMismatch', {
    schema,
    reason: `month ${month} has no partition of its own: ${reason}`,
  });
}

/** Partitions with ranges of their own, the first ones by name. */
export async function ownRanges(client: pg.ClientBase, schema: string): Promise<string[]> {
  const { rows } = await client.query(
    `select partition_name::text as name from ${pg.escapeIdentifier(schema)}.partition_ranges()
     where not is_month order by partition_name limit ${rangesNamedMost}`,
  );
  return rows.map(({ name }) => name);
}

/**
 * By an index, a look for each month: however many rows there are. Only of the default partition as it is attached: what was detached
 * is not ours to move.
 * @throws StoreSchemaMismatch
 */
export async function inDefault(client: pg.ClientBase, schema: string): Promise<InDefault> {
  const name = pg.escapeIdentifier(schema);
  const rest = `${name}.domain_events_default`;
  const { rowCount } = await client.query(
    `select from pg_catalog.pg_partitioned_table where partrelid = pg_catalog.to_regclass($1) and partdefid = pg_catalog.to_regclass($2)`,
    [`${name}.domain_events`, rest],
  );
  if (rowCount === 0) {
    const reason = 'domain_events_default is not the default partition of domain_events; attach it again';
    throw new TrunklineError('StoreSchemaMismatch', { schema, reason });
  }
  const monthOf = (
    from: string,
  ): string => `select pg_catalog.date_trunc('month', pg_catalog.min(d.occurred_at), 'UTC') as month
    from ${rest} d where d.occurred_at >= ${from} and d.occurred_at < b.behind`;
  const { rows } = await client.query(
    `with recursive b as materialized (select first, behind from ${name}.month_bounds()),
     held as (
       select (${monthOf('b.first')}) as month from b
       union all
       select (${monthOf(`(held.month at time zone 'UTC' + interval '1 month') at time zone 'UTC'`)}) from held, b
       where held.month is not null
     )
     select array(select pg_catalog.to_char(month at time zone 'UTC', 'YYYY-MM') from held where month is not null order by month) as held,
       (select pg_catalog.count(*)::float8 from (
         (select 1 from ${rest} d, b where d.occurred_at < b.first limit ${beyondMost}) union all
         (select 1 from ${rest} d, b where d.occurred_at >= b.behind limit ${beyondMost}) limit ${beyondMost}) beyond) as beyond`,
  );
  return rows[0];
}
