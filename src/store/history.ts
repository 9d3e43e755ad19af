// The whole of what has happened: the store, then the tail of the log, as one sequence without a seam. Owned by the
// Host thread.
//
// Invariants: every position once, none left out, while the store grows and the log is truncated behind it. A position is
// looked for in the store first, or, where the store is far away, in the log; the log gives up only what the store holds,
// so what is in neither of the two at first is in the store when asked again.
import { checkInteger, invalid } from '../base/checks.ts';
import { clearTimeout, setTimeout, yieldToLoop } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { guarded } from '../base/guarded.ts';
import { checkFields, fieldsOf } from '../base/known-fields.ts';
import { onAbort } from '../base/on-abort.ts';
import { PagedIterator } from '../base/paged-iterator.ts';
import type { Chunk, LogSource } from '../log/log.ts';
import { decodeEvent, type StoredEvent } from '../model/event.ts';
import { Evolution, type WantedNames } from '../model/evolution.ts';
import { isSplit, isWanted, today, wantedParts } from '../model/evolved-event.ts';
import type { ControlBlock } from '../shared/control-block.ts';
import { FrameReader } from '../wire/frame.ts';
import { EventFilter, type Wanted } from './filter.ts';
import { pageBytes } from './page-bytes.ts';
import { asStoredQuery, filterOf, namesIn, storeQueryFields } from './query.ts';
import type { EventQuery, PagedStore, ScanPage, StorePages } from './store.ts';

const queryFields = fieldsOf<EventQuery>({ ...storeQueryFields.kinds, from: true, to: true, follow: true } as never);

/** Events in log order, a page at a time. */
export interface PageReader {
  /** Up to `limit` events from position `from` to `to`; undefined if nothing is written there yet. */
  page(from: number, to: number, limit: number): MaybePromise<ScanPage | undefined>;
}

type MaybePromise<T> = T | Promise<T>;

const followBoundMs = 20; // how late a follower may notice new events without a wake-up

export class History {
  private readonly store: PagedStore;
  private readonly log: LogSource;
  private readonly control: ControlBlock;
  private readonly evolution: Evolution;
  private readonly waiting = new Set<() => void>();
  private closed = false;

  /** `evolution`: how stored events are read. */
  constructor(store: PagedStore, log: LogSource, control: ControlBlock, evolution: Evolution = Evolution.none) {
    this.store = store;
    this.evolution = evolution;
    this.log = log;
    this.control = control;
  }

  /**
   * Events in log order, up to what is `written` now (`follow`: without end).
   * @throws InvalidOptions; PositionGone, RuntimeClosed and the signal's reason while iterating
   */
  events(query: EventQuery = {}): AsyncIterableIterator<StoredEvent> {
    const walk = this.walkFor(query);
    return new PagedIterator(walk, query.signal);
  }

  /** The same, in pages as they are read; a page may be empty. */
  pages(query: EventQuery = {}): AsyncIterableIterator<StoredEvent[]> {
    return this.walkFor(query)(query.signal);
  }

  /** The same, each stored event as one, also where it has been split: for a handler, which is handed its parts. */
  stored(query: EventQuery): AsyncIterableIterator<StoredEvent[]> {
    return this.walkFor(query, false)(query.signal);
  }

  private walkFor(
    query: EventQuery,
    splits = true,
  ): (signal: AbortSignal | undefined) => AsyncGenerator<StoredEvent[]> {
    checkQuery(query);
    const { from = 1, to = Number.MAX_SAFE_INTEGER, pageSize = 1000, follow = false } = query;
    const last = follow ? to : Math.min(to, this.control.position('written'));
    const names = namesIn(query, this.evolution);
    const filter = filterOf(asStoredQuery(query, names, this.evolution));
    const pages = (signal: AbortSignal | undefined): AsyncGenerator<StoredEvent[]> =>
      this.walk(filter, Math.max(1, from), last, pageSize, follow, signal);
    return (signal) => (splits ? this.inParts(pages(signal), names) : this.whole(pages(signal), names));
  }

  /**
   * For readers that ask for pages themselves, by position, and keep what is done by positions: an event that has been split is
   * one event still (`partsOf`). `types`: by names of today or of the past.
   */
  reader(wanted: Wanted): PageReader {
    const names = this.evolution.names(wanted.types, wanted.aggregateType);
    const aggregateType = wanted.aggregateType && this.evolution.storedType(wanted.aggregateType);
    const filter = new EventFilter({ ...wanted, aggregateType, types: names && [...names.stored] });
    const scan = this.store.scan(filter);
    return { page: (from, to, limit) => this.page(scan, filter, from, to, limit) };
  }

  /** Those that are wanted, by what they are today: one is found by any name, and by those of other aggregates, too. */
  private async *whole(
    pages: AsyncGenerator<StoredEvent[]>,
    names: WantedNames | undefined,
  ): AsyncGenerator<StoredEvent[]> {
    for await (const page of pages) yield page.filter((event) => isWanted(event, names));
  }

  /** The same, by parts. Of a page with an event whose parts cannot be made, those before it come first. */
  private async *inParts(
    pages: AsyncGenerator<StoredEvent[]>,
    names: WantedNames | undefined,
  ): AsyncGenerator<StoredEvent[]> {
    for await (const page of pages) {
      if (names === undefined && !page.some(isSplit)) {
        yield page;
        continue;
      }
      const parts: StoredEvent[] = [];
      try {
        for (const event of page) parts.push(...wantedParts(event, names));
      } catch (error) {
        if (parts.length > 0) yield parts;
        throw error;
      }
      yield parts;
    }
  }

  /** Something has been written. */
  wake(): void {
    for (const wake of this.waiting) wake();
  }

  /** Running iterations end: those that follow in good order, the others with `RuntimeClosed`. */
  async close(): Promise<void> {
    this.closed = true;
    this.wake();
    await yieldToLoop();
  }

  private async *walk(
    filter: EventFilter,
    from: number,
    last: number,
    pageSize: number,
    follow: boolean,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<StoredEvent[]> {
    const scan = this.store.scan(filter, signal);
    for (let next = from; next <= last; ) {
      signal?.throwIfAborted();
      if (this.closed) {
        if (follow) return;
        throw new TrunklineError('RuntimeClosed', { state: 'closing' });
      }
      const page = await this.page(scan, filter, next, last, pageSize);
      if (page === undefined) {
        await this.written(next, signal);
        continue;
      }
      next = page.next;
      if (page.events.length > 0) yield page.events;
      await yieldToLoop();
    }
  }

  /** What follows, as it is read today; undefined if nothing does yet. */
  private async page(
    scan: StorePages,
    filter: EventFilter,
    from: number,
    last: number,
    pageSize: number,
  ): Promise<ScanPage | undefined> {
    const found = await this.found(scan, filter, from, last, pageSize);
    return found && { events: this.today(found.events), next: found.next };
  }

  private today(events: readonly StoredEvent[]): StoredEvent[] {
    return events.map((event) => today(event, this.evolution)).filter((event) => event !== undefined);
  }

  /** From the store or else from the log. */
  private async found(
    scan: StorePages,
    filter: EventFilter,
    from: number,
    last: number,
    pageSize: number,
  ): Promise<ScanPage | undefined> {
    const written = Math.min(last, this.control.position('written'));
    if (!scan.isRemote) {
      const stored = await scan.page(from, last, pageSize);
      if (stored !== undefined) return stored;
    }
    if (from > written) return undefined;
    const chunk = this.log.read(from);
    if (chunk !== undefined && chunk.firstPosition <= from) return logPage(chunk, filter, from, written, pageSize);
    // Not in the log any more: it has come into the store since we looked.
    const moved = await scan.page(from, last, pageSize);
    if (moved !== undefined) return moved;
    // A hole that a recovery has reported: pass over it.
    const holeEnd = chunk?.firstPosition ?? written + 1;
    if (holeEnd <= this.control.position('begun')) return { events: [], next: holeEnd };
    throw new TrunklineError('PositionGone', { position: from, firstKept: chunk?.firstPosition ?? 0 });
  }

  /** Resolves when position `next` may be written, or the history closes. Rejects when the signal aborts. */
  private written(next: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      let forget = (): void => {};
      const done = guarded(() => {
        clearTimeout(timer);
        this.waiting.delete(done);
        forget();
        resolve();
      });
      const timer = setTimeout(done, followBoundMs);
      this.waiting.add(done);
      forget = onAbort(signal, done);
      if (this.closed || this.control.position('written') >= next) done();
    });
  }
}

function checkQuery(query: EventQuery): void {
  checkFields('events', query, queryFields);
  const { from = 1, to = 1, follow } = query;
  checkInteger('from', from, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('to', to, 0, Number.MAX_SAFE_INTEGER);
  if (follow !== undefined && typeof follow !== 'boolean') invalid('follow', follow, 'must be true or false');
}

function logPage(chunk: Chunk, filter: EventFilter, from: number, last: number, pageSize: number): ScanPage {
  const { firstPosition, count, frames } = chunk;
  const frame = new FrameReader(frames);
  const events: StoredEvent[] = [];
  let position = firstPosition;
  let offset = 0;
  let bytes = 0;
  for (; position < firstPosition + count && position <= last; position++) {
    frame.at(offset);
    offset = frame.next;
    if (position < from || !filter.matches(frame)) continue;
    events.push(decodeEvent(frame, position));
    bytes += frame.length;
    if (events.length === pageSize || bytes > pageBytes) return { events, next: position + 1 };
  }
  return { events, next: position };
}
