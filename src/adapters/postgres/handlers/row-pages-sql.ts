// The statement on one page of a table's rows, within a transaction of handlers: each operator and type is named with its schema.
import { nullable, number, object, text } from '../../../base/json.ts';
import { type Savepoint, savepoint } from '../session/savepoint-sql.ts';
import { Statement } from '../session/statement.ts';

export interface Paged {
  /** The table that is read; quoted. */
  readonly from: string;
  /** What `page` has of it; the key among them. */
  readonly columns: string;
  /** The key's column, quoted: unique; its type and the operators that order it, with their schemas. */
  readonly key: string;
  readonly keyType: string;
  readonly less: string;
  readonly greater: string;
  /** What is done with the rows of `page`: a statement. */
  readonly work: string;
}

export const onePage: Savepoint = savepoint('page');

interface Page {
  count: number;
  /** The key of its last row, as text; null: there is none. */
  last: string | null;
}

/** The next `size` rows; `isFirst`: from the beginning, not behind a key. */
export function pageStatement(
  { from, columns, key, keyType, less, greater, work }: Paged,
  size: number,
  isFirst: boolean,
): Statement<{ after: string | undefined }, Page> {
  const behind = isFirst ? '' : `and ${key} ${greater} $1::pg_catalog.text::${keyType}`;
  return new Statement(
    `a page of ${from}`,
    `with page as (
      select ${columns} from ${from} where ${key} is not null ${behind} order by ${key} using ${less} limit ${size}
    ), done as (${work})
    select pg_catalog.count(*)::pg_catalog.float8 as count,
      (pg_catalog.array_agg(${key}::pg_catalog.text order by ${key} using ${greater}))[1] as last from page`,
    isFirst ? [] : ['after'],
    object<Page>({ count: number, last: nullable(text) }),
  );
}
