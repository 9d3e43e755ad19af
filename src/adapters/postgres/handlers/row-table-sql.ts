// Statements on a table of the user's own, and on those beside it in which rows are built. Every name of the user's is quoted here,
// and nowhere else in a statement on rows.
//
// They run by the search_path of the role, which the table's own triggers may count on: so each operator and type is named with
// its schema here (own-path.ts).
import pg from 'pg';
import { flag, listFrom, nullable, number, object, text } from '../../../base/json.ts';
import { ListStatement, type Nothing, noColumns, Statement } from '../session/statement.ts';
import type { Paged } from './row-pages-sql.ts';
import type { KeyColumn } from './table-place.ts';

const quoted = pg.escapeIdentifier;

export interface Columns {
  readonly key: KeyColumn;
  /** All but the key's. */
  readonly columns: readonly string[];
}

/** Where rows are kept. */
export interface RowPlace extends Columns {
  /** With its schema, quoted. */
  readonly table: string;
}

export const quotedTable = (schema: string, name: string): string => `${quoted(schema)}.${quoted(name)}`;

interface Mark {
  /** Its comment. */
  mark: string | null;
  isOwn: boolean;
}

/** None, if there is no such table. */
export const markStatement: Statement<{ schema: string; name: string }, Mark> = new Statement(
  'the comment of a table',
  `select pg_catalog.obj_description(c.oid, 'pg_class') as mark, pg_catalog.pg_has_role(c.relowner, 'usage') as "isOwn"
   from pg_catalog.pg_class c
   join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
   where n.nspname operator(pg_catalog.=) $1 and c.relname operator(pg_catalog.=) $2`,
  ['schema', 'name'],
  object<Mark>({ mark: nullable(text), isOwn: flag }),
);

/** With columns, defaults and indexes of `like`, and this comment. */
export const createSql = (table: string, like: string, mark: string): string =>
  `create table ${table} (like ${like} including all); comment on table ${table} is ${pg.escapeLiteral(mark)}`;

export const dropSql = (table: string): string => `drop table ${table}`;

/** No other writer's rows come in until the transaction ends. */
export const lockTableSql = (table: string): string => `lock table ${table} in share row exclusive mode`;

export const anyRowStatement = (table: string): Statement<Nothing, { found: boolean }> =>
  new Statement(
    `whether ${table} has rows`,
    `select exists (select from ${table}) as found`,
    [],
    object({ found: flag }),
  );

/** Deletes all rows of a table, page by page. */
export function deleteAll({ table, key }: RowPlace): Paged {
  const column = quoted(key.name);
  const work = `delete from ${table} t using page where t.${column} ${key.equals} page.${column}`;
  return { ...pagedBy(key), from: table, columns: column, work };
}

/** Copies all rows of `from` into the table, page by page. */
export function copyAll({ table, key, columns }: RowPlace, from: string): Paged {
  const all = [key.name, ...columns].map(quoted).join();
  const work = `insert into ${table} (${all}) overriding system value select ${all} from page`;
  return { ...pagedBy(key), from, columns: all, work };
}

const pagedBy = ({
  name,
  type: keyType,
  less,
  greater,
}: KeyColumn): Pick<Paged, 'key' | 'keyType' | 'less' | 'greater'> => ({
  key: quoted(name),
  keyType,
  less,
  greater,
});

/** Which of the keys that were given, from 1; the key as the column prints it; whether there is a row, and its columns as JSON. */
type FoundRow = readonly [place: number, key: string, isThere: boolean, ...values: (string | null)[]];

/** One row for each key that is given, in any order. */
export function readStatement({ table, key, columns }: RowPlace): ListStatement<{ keys: readonly string[] }, FoundRow> {
  const { type, collation, equals } = key;
  const column = `t.${quoted(key.name)}`;
  return new ListStatement(
    `a row of ${table}`,
    `with wanted as (select place, given::${type}${collation} as value
        from pg_catalog.unnest($1::pg_catalog.text[]) with ordinality as w (given, place))
      select w.place::pg_catalog.float8, coalesce(${column}, pg_catalog.first_value(w.value) over (partition by w.value order by w.place))::pg_catalog.text,
        ${column} is not null, ${jsonOf(columns, 't.')} from wanted w left join ${table} t on ${column} ${equals} w.value`,
    ['keys'],
    listFrom([number, text, flag], nullable(text)),
  );
}

interface Range {
  start: string;
  prefix: string;
  end: string | undefined;
  limit: number | undefined;
}

/** Its key, and its columns as JSON. */
type RangeRow = readonly [key: string, ...values: (string | null)[]];

/** In the order of their keys' bytes. */
export function rangeStatement({ table, key, columns }: RowPlace): ListStatement<Range, RangeRow> {
  const column = `${quoted(key.name)}::pg_catalog.text`;
  const ordered = `${column} collate pg_catalog."C"`;
  return new ListStatement(
    `a row of ${table}`,
    `select ${column}, ${jsonOf(columns, '')} from ${table}
     where ${ordered} operator(pg_catalog.>=) $1 and pg_catalog.starts_with(${ordered}, $2)
       and ($3::pg_catalog.text is null or ${ordered} operator(pg_catalog.<) $3)
     order by ${ordered} limit $4`,
    ['start', 'prefix', 'end', 'limit'],
    listFrom([text], nullable(text)),
  );
}

function jsonOf(columns: readonly string[], table: string): string {
  return columns.map((name) => `pg_catalog.to_json(${table}${quoted(name)})::pg_catalog.text`).join() || 'null';
}

interface Upserted {
  keys: readonly string[];
  /** A list of objects, in the order of their keys. */
  json: string;
}

/**
 * Rows that have these fields. A key is made from its text by the cast that {@link readStatement} uses: JSON makes another one
 * of some texts, in a jsonb column.
 */
export function upsertStatement(place: RowPlace, fields: readonly string[]): Statement<Upserted, Nothing> {
  const { table, key } = place;
  const column = quoted(key.name);
  const columns = fields.map((field) => quoted(field));
  const changes = columns.map((name) => `${name} = excluded.${name}`).join();
  const given = nameBeside(place);
  const values = [`w.${given}::${key.type}${key.collation}`, ...columns.map((name) => `w.${name}`)].join();
  return new Statement(
    `a row of ${table}`,
    `insert into ${table} (${[column, ...columns].join()}) select ${values}
      from rows from (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.json_populate_recordset(null::${table}, $2)) as w (${given})
      on conflict (${column}) do ${changes === '' ? 'nothing' : `update set ${changes}`}`,
    ['keys', 'json'],
    noColumns,
  );
}

/** Of a column that the table has none of. */
function nameBeside({ key, columns }: Columns): string {
  let name = 'trunkline_key';
  while (columns.includes(name) || name === key.name) name += '_';
  return name;
}

export const deleteStatement = ({ table, key }: RowPlace): Statement<{ keys: readonly string[] }, Nothing> =>
  new Statement(
    `a row of ${table}`,
    `delete from ${table} t
      using (select given::${key.type}${key.collation} as value from pg_catalog.unnest($1::pg_catalog.text[]) as w (given)) as w
      where t.${quoted(key.name)} ${key.equals} w.value`,
    ['keys'],
    noColumns,
  );
