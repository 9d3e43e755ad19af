// All rows of a table, page by page in the order of their key, in one transaction: a statement over all of them takes longer
// than a statement may once there are enough. Rows whose key is null belong to no projection, and are left out.
import type pg from 'pg';
import { PageSize } from '../session/page-size.ts';
import { isServerError } from '../session/sqlstate.ts';

type Client = Pick<pg.ClientBase, 'query'>;

const rowsPerPage = 50_000;

/** Of one projection; kept over attempts. */
export const pageSize = (): PageSize => new PageSize(rowsPerPage);

export interface PagedWork {
  /** The table that is read; quoted. */
  readonly from: string;
  /** What `page` has of it; the key among them. */
  readonly columns: string;
  /** The key's column, quoted: unique; its type and the operators that order it, with their schemas. */
  readonly key: string;
  readonly keyType: string;
  readonly less: string;
  readonly greater: string;
  /** What is done with the rows of `page`. */
  readonly work: string;
  readonly pages: PageSize;
}

/** A page that takes longer than a statement may is undone, and done again in halves. Rejects with the server's error. */
export async function byPages(client: Client, work: PagedWork): Promise<void> {
  // What the client has given up by its own clock is still in the way: the caller's next transaction begins with less.
  const undo = (error: unknown): Promise<unknown> => {
    if (!isServerError(error)) throw error;
    return client.query('rollback to savepoint page');
  };
  for (let after: string | undefined; ; ) {
    await client.query('savepoint page');
    const from = after;
    const { count, last, size } = await work.pages.page(
      `a row of ${work.from}`,
      async (size) => ({ ...(await page(client, work, size, from)), size }),
      undo,
    );
    await client.query('release savepoint page');
    if (count < size) return;
    after = last;
  }
}

async function page(
  client: Client,
  { from, columns, key, keyType, less, greater, work }: PagedWork,
  size: number,
  after: string | undefined,
): Promise<{ count: number; last: string }> {
  const behind = after === undefined ? '' : `and ${key} ${greater} $1::pg_catalog.text::${keyType}`;
  const text = `with page as (
      select ${columns} from ${from} where ${key} is not null ${behind} order by ${key} using ${less} limit ${size}
    ), done as (${work})
    select pg_catalog.count(*)::pg_catalog.float8 as count,
      (pg_catalog.array_agg(${key}::pg_catalog.text order by ${key} using ${greater}))[1] as last from page`;
  const { rows } = await client.query(text, after === undefined ? [] : [after]);
  return rows[0];
}
