// Where a projection's table is, and how its rows are addressed: looked up once, by the role's own search_path if the table is
// named without a schema, and from then on by its schema. Every name that the statements of row-table-sql.ts use comes from here
// with its schema: the key's type, and the operators by which its unique index compares keys, which may be an extension's.
//
// Invariant: the table belongs to a role that is trusted with this role's rights (table-ownership.ts): its triggers run with
// them.
import type pg from 'pg';
import { TrunklineError } from '../../../base/errors.ts';
import type { ProjectionTable } from '../../../projections/projection.ts';
import { checkTableOwnership } from '../schema/table-ownership.ts';
import { onOwnPath } from '../session/own-path.ts';
import { type Column, columnsStatement, nameStatement, oidStatement, operatorsStatement } from './table-place-sql.ts';

export interface KeyColumn extends Readonly<Column> {
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
  const { oid } = await oidStatement.one(client, { table });
  const own = onOwnPath(client);
  const [{ schema, name } = invalid('there is no table of this name')] = await nameStatement.run(own, { oid });
  await checkTableOwnership(own, oid!, schema, home);
  const columns = await columnsStatement.run(own, { oid });
  const key = columns.find((column) => column.name === keyColumn);
  if (key === undefined) return invalid(`has no column '${keyColumn}'; name the key's by keyColumn`);
  const operators = await operatorsStatement.run(own, { oid, column: keyColumn, strategies });
  if (operators.length === 0) invalid(`column '${keyColumn}' must be a primary key, or unique`);
  const [less, equals, greater] = operators.map(({ operator }) => operator) as [string, string, string];
  const others = columns.filter((column) => column !== key).map((column) => column.name);
  return { schema, name, key: { ...key, less, equals, greater }, columns: others };
}
