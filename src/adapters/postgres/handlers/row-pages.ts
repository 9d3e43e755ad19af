// All rows of a table, page by page in the order of their key, in one transaction: a statement over all of them takes longer
// than a statement may once there are enough. Rows whose key is null belong to no projection, and are left out.
import type pg from 'pg';
import { PageSize } from '../session/page-size.ts';
import { isServerError } from '../session/sqlstate.ts';
import { execute } from '../session/statement.ts';
import { onePage, type Paged, pageStatement } from './row-pages-sql.ts';

type Client = Pick<pg.ClientBase, 'query'>;

const rowsPerPage = 50_000;

/** Of one projection; kept over attempts. */
export const pageSize = (): PageSize => new PageSize(rowsPerPage);

/** A page that takes longer than a statement may is undone, and done again in halves. Rejects with the server's error. */
export async function byPages(client: Client, work: Paged & { readonly pages: PageSize }): Promise<void> {
  // What the client has given up by its own clock is still in the way: the caller's next transaction begins with less.
  const undo = (error: unknown): Promise<unknown> => {
    if (!isServerError(error)) throw error;
    return execute(client, onePage.undo);
  };
  for (let after: string | undefined; ; ) {
    await execute(client, onePage.begin);
    const from = after;
    const { count, last, size } = await work.pages.page(
      `a row of ${work.from}`,
      async (size) => ({
        ...(await pageStatement(work, size, from === undefined).one(client, { after: from })),
        size,
      }),
      undo,
    );
    await execute(client, onePage.keep);
    if (count < size) return;
    after = last!; // no page has less than one row
  }
}
