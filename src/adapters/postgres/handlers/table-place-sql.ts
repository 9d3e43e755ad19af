// Statements on where a projection's table is. The first is read by the path of the role, the others on our own.
import { nullable, number, object, text } from '../../../base/json.ts';
import { Statement } from '../session/statement.ts';

interface OfTable {
  /** null: there is none; it has no columns, either. */
  oid: number | null;
}

/** By the path of the role: so nothing here but the name may depend on it. */
export const oidStatement: Statement<{ table: string }, OfTable> = new Statement(
  'the table of a projection',
  'select pg_catalog.to_regclass($1)::pg_catalog.oid::pg_catalog.int8::pg_catalog.float8 as oid',
  ['table'],
  object<OfTable>({ oid: nullable(number) }),
);

interface Name {
  schema: string;
  name: string;
}

export const nameStatement: Statement<OfTable, Name> = new Statement(
  'the name of a table',
  `select n.nspname::text as schema, c.relname::text as name from pg_catalog.pg_class c
   join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = $1 and c.relkind in ('r', 'p')`,
  ['oid'],
  object<Name>({ schema: text, name: text }),
);

export interface Column {
  name: string;
  type: string;
  /** ` collate …`; '' where it is the type's. */
  collation: string;
}

// Texts without their length: a cast would cut in silence what the column refuses. Numbers and times are rounded by both.
// What format_type() prints without a schema is a name of the grammar's, or an array of one; others get theirs here.
export const columnsStatement: Statement<OfTable, Column> = new Statement(
  'a column of a table',
  `select a.attname::text as name,
    case when t.typcategory = 'A' or a.atttypmod >= 0 and t.typcategory not in ('S', 'V')
      then pg_catalog.format_type(a.atttypid, a.atttypmod) else pg_catalog.format('%I.%I', n.nspname, t.typname) end as type,
    coalesce((select pg_catalog.format(' collate %I.%I', s.nspname, c.collname) from pg_catalog.pg_collation c
      join pg_catalog.pg_namespace s on s.oid = c.collnamespace
      where c.oid = a.attcollation and c.collname <> 'default'), '') as collation
  from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
  join pg_catalog.pg_namespace n on n.oid = t.typnamespace
  where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' order by a.attnum`,
  ['oid'],
  object<Column>({ name: text, type: text, collation: text }),
);

interface OfColumn extends OfTable {
  column: string;
  /** Of a btree: its numbers for operators, in their order. */
  strategies: readonly number[];
}

/** Of one unique index over the column alone, in the order of the strategies. */
export const operatorsStatement: Statement<OfColumn, { operator: string }> = new Statement(
  'an operator of a unique index',
  `select pg_catalog.format('operator(%I.%s)', n.nspname, o.oprname) as operator
  from (select i.indclass[0] as class from pg_catalog.pg_index i
      join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
      where i.indrelid = $1 and i.indisunique and i.indnkeyatts = 1 and i.indpred is null and a.attname = $2
      order by not i.indisprimary, i.indexrelid limit 1) i
  join pg_catalog.pg_opclass c on c.oid = i.class
  join pg_catalog.pg_amop m on m.amopfamily = c.opcfamily and m.amoplefttype = c.opcintype and m.amoprighttype = c.opcintype
  join pg_catalog.pg_operator o on o.oid = m.amopopr
  join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
  where m.amoppurpose = 's' and m.amopstrategy = any ($3) order by m.amopstrategy`,
  ['oid', 'column', 'strategies'],
  object({ operator: text }),
);
