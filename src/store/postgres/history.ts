// What one log has brought into PostgreSQL, as the history reads it: in the order of the log. While one page is looked at,
// the next one is on its way: at most one, which nobody has to want.
import { TrunklineError } from '../../errors.ts';
import type { Levels } from '../../log/levels.ts';
import type { EventFilter } from '../filter.ts';
import type { PagedStore, ScanPage, StorePages } from '../store.ts';
import type { PostgresArchive } from './archive.ts';
import { storeName } from './failure.ts';
import { eventsIn } from './pages.ts';

const pageLimit = 5_000;
const notYet = 'it has not been reached since the start';

export class PostgresHistory implements PagedStore {
  private readonly archive: PostgresArchive;
  private readonly logId: string;
  private readonly levels: Levels;

  constructor(archive: PostgresArchive, logId: string, levels: Levels) {
    this.archive = archive;
    this.logId = logId;
    this.levels = levels;
  }

  scan(filter: EventFilter, signal?: AbortSignal): StorePages {
    let ahead: { from: number; to: number; limit: number; page: Promise<ScanPage | undefined> } | undefined;
    return {
      isRemote: true,
      page: async (from, to, limit) => {
        const isHere = ahead?.from === from && ahead.to === to && ahead.limit === limit;
        const coming = isHere ? ahead!.page : this.page(filter, from, to, limit, signal);
        ahead = undefined;
        const page = await coming;
        if (page !== undefined && page.events.length === Math.min(limit, pageLimit)) {
          ahead = { from: page.next, to, limit, page: this.page(filter, page.next, to, limit, signal) };
          ahead.page.catch(() => {}); // whoever wants it is told
        }
        return page;
      },
    };
  }

  private async page(
    filter: EventFilter,
    from: number,
    to: number,
    limit: number,
    signal: AbortSignal | undefined,
  ): Promise<ScanPage | undefined> {
    const stored = this.levels.position('stored');
    if (stored === 0) throw new TrunklineError('StoreUnavailable', { store: storeName, cause: notYet });
    const last = Math.min(to, stored);
    if (from > last) return undefined;
    const size = Math.min(limit, pageLimit);
    const page = await this.archive.logPage(this.logId, filter, from, last, size, signal);
    const events = eventsIn(page);
    return { events, next: page.count < size ? last + 1 : events.at(-1)!.position + 1 };
  }
}
