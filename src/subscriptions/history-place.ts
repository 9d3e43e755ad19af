// Where one subscription reads: page by page through the history, and behind that from the feed. Owned by the host thread.
//
// Invariant: each position is looked at once, in their order; when it goes on from elsewhere, what was read for the earlier place is
// not handed over any more.
import { performance, yieldToLoop } from '../base/clock.ts';
import { isThenable } from '../base/thenable.ts';
import type { StoredEvent } from '../model/event.ts';
import type { PageReader } from '../store/history.ts';
import { sliceMs } from './feed.ts';

const pageSize = 1000;

/** To whom a page is handed over. */
export interface PageTaker {
  mayTake(): boolean;
  take(event: StoredEvent): void;
  /** All positions up to here have been read; in the turn of the last event. */
  passed(position: number): void;
}

export class HistoryPlace {
  private readonly openReader: () => PageReader;
  private readonly taker: PageTaker;
  private reader: PageReader | undefined;
  private at = 0;

  constructor(openReader: () => PageReader, taker: PageTaker) {
    this.openReader = openReader;
    this.taker = taker;
  }

  /** The next position to be looked at; 0: it is not known yet. */
  get next(): number {
    return this.at;
  }

  goOnBehind(position: number): void {
    this.at = position + 1;
    this.reader = undefined;
  }

  /** This event was handed over, or left out. */
  took(position: number): void {
    this.at = position + 1;
  }

  /** All positions up to here have been read. */
  passed(position: number): void {
    if (position >= this.next) this.at = position + 1;
  }

  /** One page, handed over event by event as long as the taker may take. Resolves with false if there is no page yet. */
  async page(upTo: number): Promise<boolean> {
    const { taker } = this;
    this.reader ??= this.openReader();
    const { reader } = this;
    const found = reader.page(this.next, upTo, pageSize);
    const page = isThenable(found) ? await found : found;
    if (page === undefined) return false;
    let started = performance.now();
    for (let i = 0; i < page.events.length; i++) {
      if (reader !== this.reader || !taker.mayTake()) return true;
      taker.take(page.events[i]!);
      if ((i & 15) !== 15 || performance.now() - started < sliceMs) continue;
      await yieldToLoop();
      started = performance.now();
    }
    if (reader === this.reader) taker.passed(page.next - 1);
    await yieldToLoop();
    return true;
  }
}
