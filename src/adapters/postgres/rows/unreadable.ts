// Rows of domain_events that cannot be read as events: no door of ours writes them (migration 12 refuses them of every role), and
// an earlier release, or an owner who switches the gate off, can have. What reads page by page leaves them out, and goes on;
// each is named once, and counted. An aggregate is not whole without one of its events: who reads that one is refused.
import { TrunklineError } from '../../../base/errors.ts';
import { storeName } from '../session/failure.ts';
import type { EventFrames, UnreadableRow } from './rows.ts';

/** Ids that are remembered, so that a row that is read again is not reported again. */
const rememberedMost = 10_000;

const unreadable = ({ id, reason }: UnreadableRow): TrunklineError =>
  new TrunklineError('EventUnreadable', { store: storeName, id, reason });

/** @throws EventUnreadable */
export function refuseUnreadable(page: Pick<EventFrames, 'unreadable'>): void {
  const [first] = page.unreadable;
  if (first !== undefined) throw unreadable(first);
}

/** Those that one reader has left out. */
export class UnreadableRows {
  count = 0;
  private readonly told = new Set<string>();
  private readonly report: (error: TrunklineError) => void;

  constructor(report: (error: TrunklineError) => void) {
    this.report = report;
  }

  note(page: Pick<EventFrames, 'unreadable'>): void {
    for (const row of page.unreadable) {
      if (this.told.has(row.id)) continue;
      if (this.told.size >= rememberedMost) this.told.clear();
      this.told.add(row.id);
      this.count++;
      this.report(unreadable(row));
    }
  }
}

/** For readers that have no place to report to. */
export const warnOf = (error: TrunklineError): void => process.emitWarning(error.message, error.code);
