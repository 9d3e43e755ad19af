// The schema's own list of its migrations. `schema`: quoted.
import { number, object, text } from '../../../base/json.ts';
import { type Nothing, noColumns, Statement } from '../session/statement.ts';

interface Applied {
  number: number;
  name: string;
  checksum: string;
}

/** Not quoted. */
interface Place {
  schema: string;
}

export const schemaStatement: Statement<Place, Nothing> = new Statement(
  'a schema',
  'select from pg_catalog.pg_namespace where nspname = $1',
  ['schema'],
  noColumns,
);

/** Not `if not exists`: that asks for the right to create even where there is nothing to create. */
export const createSchema = (schema: string): string => `create schema ${schema}`;

/** The catalogue itself, not to_regclass(): that may answer from a cache older than a lock that was waited for. */
export const listStatement: Statement<Place, Nothing> = new Statement(
  'the list of migrations',
  `select from pg_catalog.pg_tables where schemaname = $1 and tablename = 'trunkline_migrations'`,
  ['schema'],
  noColumns,
);

export const createList = (schema: string): string => `create table if not exists ${schema}.trunkline_migrations (
    number     integer     primary key,
    name       text        not null,
    checksum   text        not null,
    applied_at timestamptz not null default pg_catalog.now()
  )`;

/** Others may read it meanwhile, and so look whether they fit. */
export const lockList = (schema: string): string =>
  `lock table ${schema}.trunkline_migrations in share row exclusive mode`;

export const appliedStatement = (schema: string): Statement<Nothing, Applied> =>
  new Statement(
    'a migration',
    `select number, name, checksum from ${schema}.trunkline_migrations order by number`,
    [],
    object<Applied>({ number, name: text, checksum: text }),
  );

/** A migration's text names its objects without a schema. Until the transaction ends. */
export const migrateIn = (schema: string): string => `set local search_path to ${schema}, pg_temp`;

export const insertStatement = (schema: string): Statement<Applied, Nothing> =>
  new Statement(
    'a migration',
    `insert into ${schema}.trunkline_migrations (number, name, checksum) values ($1, $2, $3)`,
    ['number', 'name', 'checksum'],
    noColumns,
  );
