// What a schema lacks of what this release works with.
import { object, text } from '../../../base/json.ts';
import { Statement } from '../session/statement.ts';

interface Needed {
  /** Not quoted. */
  schema: string;
  /** As `table.column`. */
  columns: readonly string[];
  /** As `table.trigger`. */
  triggers: readonly string[];
}

/** From the catalogue, which every role may read: what one may do to a table is another question. */
export const lacksStatement: Statement<Needed, { name: string }> = new Statement(
  'what a schema lacks',
  `select needed.name from pg_catalog.unnest($2::text[]) needed (name) where not exists (
     select from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = $1 and c.relname || '.' || a.attname = needed.name and not a.attisdropped)
   union all
   select 'trigger ' || needed.name from pg_catalog.unnest($3::text[]) needed (name) where not exists (
     select from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = $1 and c.relname || '.' || t.tgname = needed.name)`,
  ['schema', 'columns', 'triggers'],
  object<{ name: string }>({ name: text }),
);
