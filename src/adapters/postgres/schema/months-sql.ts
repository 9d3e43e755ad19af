// How a month gets its partition. `events`: domain_events with its schema, quoted; `table`: a partition likewise.
import { flag, nullable, number, object, text } from '../../../base/json.ts';
import { Statement } from '../session/statement.ts';

/** Of this month and the next ones, like `2026-12`. */
export const monthsStatement: Statement<{ ahead: number }, { month: string }> = new Statement(
  'a month',
  `select pg_catalog.to_char(pg_catalog.date_trunc('month', pg_catalog.now() at time zone 'UTC') + pg_catalog.make_interval(months => i), 'YYYY-MM') as month
   from pg_catalog.generate_series(0, $1) i`,
  ['ahead'],
  object<{ month: string }>({ month: text }),
);

/** With the rights of the owner, not of the role that calls; null: it is there. `schema`: quoted. */
export const makeStatement = (schema: string): Statement<{ start: string }, { made: string | null }> =>
  new Statement(
    'a partition that is made',
    `select ${schema}.make_partition($1)::text as made`,
    ['start'],
    object<{ made: string | null }>({ made: nullable(text) }),
  );

export const createTable = (table: string, events: string): string =>
  `create table ${table} (like ${events} including defaults including constraints including indexes)`;

export const boundLocks = (ms: number): string => `set local lock_timeout = ${ms}`;

/** `only`: not its partitions, to which no session comes through it meanwhile. */
export const lockOnly = (table: string): string => `lock table only ${table} in access exclusive mode`;

/** `start`, `end`: times, the second one of the next month. */
export const attach = (events: string, table: string, start: string, end: string): string =>
  `alter table ${events} attach partition ${table} for values from ('${start}') to ('${end}')`;

/** What a month holds of the default partition, `rest`; alias `d`. */
export const rowsOfMonth = (rest: string, start: string, end: string): string =>
  `${rest} d where d.occurred_at >= '${start}' and d.occurred_at < '${end}'`;

/** Of these rows those behind one number, up to another one. */
export const pageOf = (rows: string, after: string, last: string): string =>
  `${rows} and d.sequence > '${after}' and d.sequence <= '${last}'`;

/** `page`: from where, and which rows, of alias `d`. */
export const copyPage = (table: string, page: string): string => `insert into ${table} select d.* from ${page}`;

/** What has come since {@link copyPage}. */
export const copyNew = (table: string, page: string): string => `insert into ${table} select d.* from ${page}
      and not exists (select from ${table} t where t.id = d.id and t.occurred_at = d.occurred_at)`;

/** What a log has taken since {@link copyPage}. */
export const updateTaken = (table: string, page: string): string =>
  `update ${table} t set position = d.position, log_id = d.log_id from ${page}
      and d.id = t.id and d.occurred_at = t.occurred_at and d.position is distinct from t.position`;

export const deletePage = (page: string): string => `delete from ${page}`;

interface PageEnd {
  /** null: no row is left. */
  last: string | null;
  count: number;
}

/** Where a page of `rows` ends. */
export const pageEndStatement = (rows: string): Statement<{ after: string; most: number }, PageEnd> =>
  new Statement(
    'the end of a page',
    `select pg_catalog.max(sequence)::text as last, pg_catalog.count(*)::float8 as count
     from (select d.sequence from ${rows} and d.sequence > $1 order by d.sequence limit $2) page`,
    ['after', 'most'],
    object<PageEnd>({ last: nullable(text), count: number }),
  );

interface Owner {
  role: string;
  is_owner: boolean;
}

/** Whether this role has the rights of a table's owner. */
export const ownerStatement: Statement<{ table: string }, Owner> = new Statement(
  'the owner of a table',
  `select current_user::text as role, pg_catalog.pg_has_role(relowner, 'usage') as is_owner
   from pg_catalog.pg_class where oid = $1::regclass`,
  ['table'],
  object<Owner>({ role: text, is_owner: flag }),
);
