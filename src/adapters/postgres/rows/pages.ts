// Pages of events, by COPY in its binary format: the rows become frames without a text between.
import type pg from 'pg';
import { pageBytes } from '../../../store/page-bytes.ts';
import { destroyClient } from '../session/server-session.ts';
import { copiedOut } from './copy-out.ts';
import { copySql } from './events-sql.ts';
import { closed, type EventFrames, endOfWholeRows, framesOf } from './rows.ts';

/** `isCut`: there was more than a page holds, and its connection is good for nothing more. */
export interface EventPage extends EventFrames {
  readonly isCut: boolean;
}

/** Of a page's bytes: pages that are cut cost a connection. */
const fillShare = 0.9;

/** How many rows fit into a page, by those of the last one. */
export class RowBytes {
  private bytes = 0;

  get fitting(): number {
    return Math.max(1, Math.floor((pageBytes * fillShare) / this.bytes));
  }

  note(page: EventPage): EventPage {
    if (page.count > 0) this.bytes = page.frames.length / page.count;
    return page;
  }
}

/**
 * `from`: what follows `select … from`, up to the limit. Beyond the bytes of a page the rest is not taken: its connection is
 * destroyed, since a COPY out has no other end.
 */
export async function copyEvents(client: pg.ClientBase, from: string): Promise<EventPage> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let most = pageBytes;
  for await (const chunk of copiedOut(client, copySql(from))) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes <= most) continue;
    const rows = Buffer.concat(chunks);
    const end = endOfWholeRows(rows);
    if (end > 0) {
      destroyClient(client);
      return { ...framesOf(closed(rows, end)), isCut: true };
    }
    most *= 2; // one row has more than a page
  }
  return { ...framesOf(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)), isCut: false };
}
