// The whole of what has happened: the store, then the tail of the log, as one sequence without a seam. Owned by the
// caller's thread.
//
// Invariants: every position once, none left out, while the store grows and the log is truncated behind it. A position is
// looked for in the store first; the log gives up only what the store holds, so what is in neither of the two at first is
// in the store when asked again.
import { setImmediate } from 'node:timers/promises';
import { checkAggregate, checkDate, checkId, checkInteger, checkSignal, invalid } from '../checks.ts';
import { TrunklineError } from '../errors.ts';
import { decodeEvent, type StoredEvent } from '../event.ts';
import { FrameReader } from '../frame.ts';
import { checkFields, fieldsOf } from '../known-fields.ts';
import type { Levels } from '../log/levels.ts';
import type { Chunk, LogSource } from '../log/log.ts';
import { EventFilter } from './filter.ts';
import type { EmbeddedStore } from './lmdb/embedded.ts';
import type { ScanPage, StoreScan } from './lmdb/scan.ts';
import { type EventQuery, nameOf } from './store.ts';

const queryFields = fieldsOf<EventQuery>({
  from: true,
  to: true,
  aggregate: true,
  aggregateId: true,
  type: true,
  types: true,
  since: true,
  until: true,
  signal: true,
  pageSize: true,
  follow: true,
});

const followBoundMs = 20; // how late a follower may notice new events when nobody wakes it

export class History {
  private readonly store: EmbeddedStore;
  private readonly log: LogSource;
  private readonly levels: Levels;
  private readonly waiting = new Set<() => void>();
  private closed = false;

  constructor(store: EmbeddedStore, log: LogSource, levels: Levels) {
    this.store = store;
    this.log = log;
    this.levels = levels;
  }

  /**
   * Events in log order, up to what is `written` now (`follow`: without end).
   * @throws InvalidOptions; PositionGone, RuntimeClosed and the signal's reason while iterating
   */
  events(query: EventQuery = {}): AsyncIterableIterator<StoredEvent> {
    return each(this.pages(query), query.signal);
  }

  /** The same, in pages as they are read; a page may be empty. */
  pages(query: EventQuery = {}): AsyncIterableIterator<StoredEvent[]> {
    checkQuery(query);
    const { from = 1, to = Number.MAX_SAFE_INTEGER, pageSize = 1000, follow = false } = query;
    const last = follow ? to : Math.min(to, this.levels.position('written'));
    const types = query.type === undefined ? query.types : [query.type, ...(query.types ?? [])];
    const aggregateType = query.aggregate === undefined ? undefined : nameOf(query.aggregate);
    const filter = new EventFilter({ ...query, aggregateType, types });
    return this.walk(filter, Math.max(1, from), last, pageSize, follow, query.signal);
  }

  /** Something has been written. */
  wake(): void {
    for (const wake of this.waiting) wake();
  }

  /** Iterations under way end: those that follow in good order, the others with `RuntimeClosed`. */
  async close(): Promise<void> {
    this.closed = true;
    this.wake();
    await setImmediate();
  }

  private async *walk(
    filter: EventFilter,
    from: number,
    last: number,
    pageSize: number,
    follow: boolean,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<StoredEvent[]> {
    const scan = this.store.scan(filter);
    for (let next = from; next <= last; ) {
      signal?.throwIfAborted();
      if (this.closed) {
        if (follow) return;
        throw new TrunklineError('RuntimeClosed', { state: 'closing' });
      }
      const page = this.page(scan, filter, next, last, pageSize);
      if (page === undefined) {
        await this.written(next, signal);
        continue;
      }
      next = page.next;
      if (page.events.length > 0) yield page.events;
      await setImmediate();
    }
  }

  /** What follows, from the store or else from the log; undefined if nothing does yet. */
  private page(
    scan: StoreScan,
    filter: EventFilter,
    from: number,
    last: number,
    pageSize: number,
  ): ScanPage | undefined {
    const stored = scan.page(from, last, pageSize);
    if (stored !== undefined) return stored;
    const written = Math.min(last, this.levels.position('written'));
    if (from > written) return undefined;
    const chunk = this.log.read(from);
    if (chunk !== undefined && chunk.firstPosition <= from) return logPage(chunk, filter, from, written, pageSize);
    // Not in the log any more: it has come into the store since we looked.
    const moved = scan.page(from, last, pageSize);
    if (moved !== undefined) return moved;
    // A hole that a recovery has reported: pass over it.
    const holeEnd = chunk?.firstPosition ?? written + 1;
    if (holeEnd <= this.levels.position('begun')) return { events: [], next: holeEnd };
    throw new TrunklineError('PositionGone', { position: from, firstKept: chunk?.firstPosition ?? 0 });
  }

  /** Resolves when position `next` may be written, or the history closes. Rejects when the signal aborts. */
  private written(next: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.waiting.delete(done);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, followBoundMs);
      this.waiting.add(done);
      signal?.addEventListener('abort', done);
      if (this.closed || signal?.aborted || this.levels.position('written') >= next) done();
    });
  }
}

function checkQuery(query: EventQuery): void {
  checkFields('events', query, queryFields);
  const { from = 1, to = 1, pageSize = 1, aggregate, aggregateId, type, types, since, until, signal, follow } = query;
  checkInteger('from', from, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('to', to, 0, Number.MAX_SAFE_INTEGER);
  checkInteger('pageSize', pageSize, 1, 100_000);
  if (aggregate !== undefined) checkAggregate(aggregate);
  if (aggregateId !== undefined) checkId('aggregate id', aggregateId);
  if (types !== undefined && !Array.isArray(types)) invalid('types', types, 'must be a list of event types');
  for (const one of type === undefined ? (types ?? []) : [type, ...(types ?? [])]) checkId('event type', one);
  if (since !== undefined) checkDate('since', since);
  if (until !== undefined) checkDate('until', until);
  if (signal !== undefined) checkSignal(signal);
  if (follow !== undefined && typeof follow !== 'boolean') invalid('follow', follow, 'must be true or false');
}

function logPage(chunk: Chunk, filter: EventFilter, from: number, last: number, pageSize: number): ScanPage {
  const { firstPosition, count, frames } = chunk;
  const frame = new FrameReader(frames);
  const events: StoredEvent[] = [];
  let position = firstPosition;
  let offset = 0;
  for (; position < firstPosition + count && position <= last; position++) {
    frame.at(offset);
    offset = frame.next;
    if (position < from || !filter.matches(frame)) continue;
    events.push(decodeEvent(frame, position));
    if (events.length === pageSize) return { events, next: position + 1 };
  }
  return { events, next: position };
}

async function* each(
  pages: AsyncIterable<StoredEvent[]>,
  signal: AbortSignal | undefined,
): AsyncGenerator<StoredEvent> {
  for await (const page of pages) {
    for (const event of page) {
      signal?.throwIfAborted();
      yield event;
    }
  }
}
