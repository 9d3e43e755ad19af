// What partitions domain_events has, and what the default one holds. `schema`: quoted.
import pg from 'pg';
import { listOf, nullable, number, object, oneOf, text } from '../../../base/json.ts';
import { type Nothing, noColumns, Statement } from '../session/statement.ts';

const { escapeLiteral } = pg;
const rangesNamedMost = 100;
/** Events beyond the bound are counted up to this number. */
const beyondMost = 10_000;

/** As month_state says it. */
export type MonthState = 'free' | 'there' | 'covered' | 'taken' | 'beyond' | 'full';
const monthStates: readonly MonthState[] = ['free', 'there', 'covered', 'taken', 'beyond', 'full'];

interface Partition {
  name: string;
  /** Its schema. */
  home: string;
  bytes: number;
  /** null: the default partition, or one with a range of its own. */
  month: string | null;
  /** Of one with a range of its own. */
  range: string | null;
}

/** The oldest first, the default partition last. */
export const partitionsStatement = (schema: string): Statement<Nothing, Partition> =>
  new Statement(
    'a partition',
    `select c.relname::text as name, n.nspname::text as home, pg_catalog.pg_total_relation_size(c.oid)::float8 as bytes,
       case when r.is_month then pg_catalog.to_char(r.range_start at time zone 'UTC', 'YYYY-MM') end as month,
       case when not r.is_month then r.range_start::text || ' to ' || r.range_end::text end as range
     from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       left join ${schema}.partition_ranges() r on r.partition_oid = c.oid
     where i.inhparent = ${escapeLiteral(`${schema}.domain_events`)}::regclass order by r.range_start nulls last, c.relname`,
    [],
    object<Partition>({ name: text, home: text, bytes: number, month: nullable(text), range: nullable(text) }),
  );

interface Counts {
  rows: number;
  /** In the outbox. */
  waiting: number;
}

/** `table`: a partition, with its schema, both quoted. */
export const countsStatement = (schema: string, table: string): Statement<Nothing, Counts> =>
  new Statement(
    'the counts of a partition',
    `select pg_catalog.count(*)::float8 as rows, pg_catalog.count(o.sequence)::float8 as waiting
     from ${table} e left join ${schema}.outbox o on o.id = e.id and o.occurred_at = e.occurred_at`,
    [],
    object<Counts>({ rows: number, waiting: number }),
  );

interface State {
  state: MonthState;
  reason: string | null;
}

/** What stands in the way of a partition of this month. */
export const stateStatement = (schema: string): Statement<{ start: string }, State> =>
  new Statement(
    'the state of a month',
    `select state, reason from ${schema}.month_state($1::timestamptz)`,
    ['start'],
    object<State>({ state: oneOf(...monthStates), reason: nullable(text) }),
  );

/** Partitions with ranges of their own, the first ones by name. */
export const rangesStatement = (schema: string): Statement<Nothing, { name: string }> =>
  new Statement(
    'a partition',
    `select partition_name::text as name from ${schema}.partition_ranges()
     where not is_month order by partition_name limit ${rangesNamedMost}`,
    [],
    object<{ name: string }>({ name: text }),
  );

/** A row if the default partition is attached. */
export const defaultStatement = (schema: string): Statement<Nothing, Nothing> =>
  new Statement(
    'the default partition',
    `select from pg_catalog.pg_partitioned_table
     where partrelid = pg_catalog.to_regclass(${escapeLiteral(`${schema}.domain_events`)})
       and partdefid = pg_catalog.to_regclass(${escapeLiteral(`${schema}.domain_events_default`)})`,
    [],
    noColumns,
  );

interface InDefault {
  held: readonly string[];
  beyond: number;
}

/** By an index, a look for each month: however many rows there are. */
export function inDefaultStatement(schema: string): Statement<Nothing, InDefault> {
  const rest = `${schema}.domain_events_default`;
  const monthOf = (from: string): string =>
    `select pg_catalog.date_trunc('month', pg_catalog.min(d.occurred_at), 'UTC') as month
    from ${rest} d where d.occurred_at >= ${from} and d.occurred_at < b.behind`;
  return new Statement(
    'what the default partition holds',
    `with recursive b as materialized (select first, behind from ${schema}.month_bounds()),
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
    [],
    object<InDefault>({ held: listOf(text), beyond: number }),
  );
}
