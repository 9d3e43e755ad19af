// What one log has brought into PostgreSQL, as the history reads it: in the order of the log.

import { TrunklineError } from '../../../base/errors.ts';
import type { ControlBlock } from '../../../shared/control-block.ts';
import type { EventFilter } from '../../../store/filter.ts';
import type { PagedStore, StorePages } from '../../../store/store.ts';
import { type EventFrames, eventsIn } from '../rows/rows.ts';
import { storeName } from '../session/failure.ts';

const pageLimit = 5_000;
const notYet = 'it has not been reached since the start';

/** Pages of one log's events; see `PostgresArchive.logPage`. */
interface LogPages {
  logPage(
    logId: string,
    filter: EventFilter,
    from: number,
    to: number,
    limit: number,
    signal?: AbortSignal,
  ): Promise<{ page: EventFrames; isLast: boolean }>;
}

export class PostgresHistory implements PagedStore {
  private readonly archive: LogPages;
  private readonly logId: string;
  private readonly control: ControlBlock;

  constructor(archive: LogPages, logId: string, control: ControlBlock) {
    this.archive = archive;
    this.logId = logId;
    this.control = control;
  }

  scan(filter: EventFilter, signal?: AbortSignal): StorePages {
    return {
      isRemote: true,
      page: async (from, to, limit) => {
        const stored = this.control.position('stored');
        if (stored === 0) throw new TrunklineError('StoreUnavailable', { store: storeName, cause: notYet });
        const last = Math.min(to, stored);
        if (from > last) return undefined;
        const most = Math.min(limit, pageLimit);
        const { page, isLast } = await this.archive.logPage(this.logId, filter, from, last, most, signal);
        const events = eventsIn(page);
        return { events, next: isLast ? last + 1 : page.lastPosition + 1 };
      },
    };
  }
}
