// Where a projection's table is, and how its rows are addressed: looked up once, by the role's own search_path if the table is
// named without a schema, and from then on by its schema. Every name that the statements of row-table.ts use comes from here
// with its schema: the key's type, and the operators by which its unique index compares keys, which may be an extension's.
//
// Invariant: the table belongs to a role that is trusted with this role's rights (table-ownership.ts): its triggers run with
// them.
import type pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import type { ProjectionTable } from '../../../projections/projection.ts';
import { checkTableOwnership } from '../schema/table-ownership.ts';
import { onOwnPath } from '../session/own-path.ts';

export interface KeyColumn {
  readonly name: string;
  readonly type: string;
  /** ` collate …`; '' where it is the type's. */
  readonly collation: string;
  readonly less: string;
  readonly equals: string;
  readonly greater: string;
}

export interface TablePlace {
  readonly schema: string;
  readonly name: string;
  readonly key: KeyColumn;
  /** All but the key's. */
  readonly columns: readonly string[];
}

/** Of a btree: its numbers for <, = and >. */
const strategies = [1, 3, 5];

/**
 * `home`: our own schema, whose owner is trusted.
 * @throws InvalidOptions: there is no such table, or none that rows can be kept in by their key; StoreSchemaUnsafe
 */
export async function placeOf(
  client: Pick<pg.ClientBase, 'query'>,
  { table, keyColumn = 'key' }: ProjectionTable,
  home: string | undefined,
): Promise<TablePlace> {
  const invalid = (fault: string): never => {
    const reason = `table '${table}': ${fault}`;
    throw new TrunklineError('InvalidOptions', { option: 'projection.into', reason });
  };
  // By the path of the role: so nothing here but the name may depend on it.
  const named = await client.query('select pg_catalog.to_regclass($1)::pg_catalog.oid as oid', [table]);
  const { oid } = named.rows[0];
  const own = onOwnPath(client);
  const { rows: found } = await own.query(
    `select n.nspname as schema, c.relname as name from pg_catalog.pg_class c
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = $1 and c.relkind in ('r', 'p')`,
    [oid],
  );
  const { schema, name } = found[0] ?? invalid('there is no table of this name');
  await checkTableOwnership(own, oid, schema, home);
  const { rows: columns } = await own.query(columnsSql, [oid]);
  const key = columns.find((column) => column.name === keyColumn);
  if (key === undefined) return invalid(`has no column '${keyColumn}'; name the key's by keyColumn`);
  const { rows: operators } = await own.query(operatorsSql, [oid, keyColumn, strategies]);
  if (operators.length === 0) invalid(`column '${keyColumn}' must be a primary key, or unique`);
  const [less, equals, greater] = operators.map(({ operator }) => operator as string) as [string, string, string];
  const others = columns.filter((column) => column !== key).map((column): string => column.name);
  return { schema, name, key: { ...key, less, equals, greater }, columns: others };
}

// Texts without their length: a cast would cut in silence what the column refuses. Numbers and times are rounded by both.
// What format_type() prints without a schema is a name of the grammar's, or an array of one; others get theirs here.
const columnsSql = `select a.attname as name,
    case when t.typcategory = 'A' or a.atttypmod >= 0 and t.typcategory not in ('S', 'V')
      then pg_catalog.format_type(a.atttypid, a.atttypmod) else pg_catalog.format('%I.%I', n.nspname, t.typname) end as type,
    coalesce((select pg_catalog.format(' collate %I.%I', s.nspname, c.collname) from pg_catalog.pg_collation c
      join pg_catalog.pg_namespace s on s.oid = c.collnamespace
      where c.oid = a.attcollation and c.collname <> 'default'), '') as collation
  from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
  join pg_catalog.pg_namespace n on n.oid = t.typnamespace
  where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' order by a.attnum`;

/** Of one unique index over the key alone, in the order of $3. */
const operatorsSql = `select pg_catalog.format('operator(%I.%s)', n.nspname, o.oprname) as operator
  from (select i.indclass[0] as class from pg_catalog.pg_index i
      join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
      where i.indrelid = $1 and i.indisunique and i.indnkeyatts = 1 and i.indpred is null and a.attname = $2
      order by not i.indisprimary, i.indexrelid limit 1) i
  join pg_catalog.pg_opclass c on c.oid = i.class
  join pg_catalog.pg_amop m on m.amopfamily = c.opcfamily and m.amoplefttype = c.opcintype and m.amoprighttype = c.opcintype
  join pg_catalog.pg_operator o on o.oid = m.amopopr
  join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
  where m.amoppurpose = 's' and m.amopstrategy = any ($3) order by m.amopstrategy`;
