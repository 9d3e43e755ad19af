// What a window of the tail holds, page by page: no statement takes longer than it may for its size, and no page has more bytes
// than one may have. Loaded with the client library.
import type pg from 'pg';
import type { StoredEvent } from '../../../model/event.ts';
import { copyEvents, type EventPage, RowBytes } from '../rows/pages.ts';
import { eventsIn } from '../rows/rows.ts';
import { PageSize } from '../session/page-size.ts';
import { isServerError } from '../session/sqlstate.ts';
import { behindSql, between, leastStatement, nowStatement, ofTransaction, wholeWindowSql } from './tail-sql.ts';
import { snapshotOf, type TailToken, type Window } from './tail-token.ts';

/** A page, or a range, that took too long costs the time of a statement: larger ones are tried seldom. */
const pagesToGrow = 64;
const transactionsMost = 2 ** 31 - 1;

/** A connection that the client's own clock has given up is good for no other try. */
const undo = (error: unknown): void => {
  if (!isServerError(error)) throw error;
};

export class TailPages {
  private readonly schema: string;
  private readonly most: number;
  private readonly pages: PageSize;
  private readonly ranges = new PageSize(transactionsMost, pagesToGrow);
  private readonly rowBytes = new RowBytes();

  private readonly onCut: () => void;

  /** `schema`: quoted. `onCut`: a page has ended its connection. */
  constructor(schema: string, pageSize: number, onCut: () => void) {
    this.onCut = onCut;
    this.schema = schema;
    this.most = pageSize;
    this.pages = new PageSize(pageSize, pagesToGrow);
  }

  /** The server's snapshot, as text. */
  async now(client: pg.Client): Promise<string> {
    return (await nowStatement.one(client, {})).now;
  }

  /** All rows of a window, in the order of their sequence; undefined: there are more than a page holds. */
  async whole(client: pg.Client, window: Window): Promise<EventPage | undefined> {
    const most = Math.min(this.most, this.rowBytes.fitting);
    const page = await this.copy(client, wholeWindowSql(this.schema, window, most));
    return page.isCut || page.rows > most ? undefined : page;
  }

  /** Behind a row, in the order of sequence and id. `isLast`: the window has no more. */
  async after(
    client: pg.Client,
    window: Window,
    behind: Pick<TailToken, 'sequence' | 'id'>,
  ): Promise<EventPage & { isLast: boolean }> {
    const read = async (size: number): Promise<EventPage & { isLast: boolean }> => {
      const page = await this.copy(client, behindSql(this.schema, window, behind, size));
      return { ...page, isLast: !page.isCut && page.rows < size };
    };
    return this.pages.page('an event of the tail', read, undo, this.rowBytes.fitting);
  }

  /** A sequence before all of the window. The transactions of a large one are asked range by range. */
  async beforeFirst(client: pg.Client, window: Window): Promise<bigint> {
    const { xmax: first, xip } = snapshotOf(window.from);
    const last = snapshotOf(window.to).xmax;
    const least = async (where: string): Promise<bigint[]> => {
      const { least } = await leastStatement(this.schema, window, where).one(client, {});
      return least === null ? [] : [BigInt(least)];
    };
    const found: bigint[] = [];
    for (const id of xip) found.push(...(await least(ofTransaction(id))));
    for (let next = first; next < last; ) {
      next = await this.ranges.page(
        'the events of one transaction',
        async (size, held) => {
          const end = last - next > BigInt(size) ? next + BigInt(size) : last;
          held(Number(end - next));
          found.push(...(await least(between(next, end))));
          return end;
        },
        undo,
      );
    }
    if (found.length === 0) return 0n; // its month has been dropped meanwhile
    return found.reduce((a, b) => (a < b ? a : b)) - 1n;
  }

  eventsIn(page: EventPage): StoredEvent[] {
    return eventsIn(page);
  }

  private async copy(client: pg.Client, from: string): Promise<EventPage> {
    const page = this.rowBytes.note(await copyEvents(client, from));
    if (page.isCut) this.onCut();
    return page;
  }
}
