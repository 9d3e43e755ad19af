// Reading events in log order, page by page: from every block, from the blocks that an index names, or, for one aggregate,
// from the places on its chain. Each page is one look at the newest commit; nothing is held in between.
import { decodeEvent, type StoredEvent } from '../../../model/event.ts';
import type { EventFilter } from '../../../store/filter.ts';
import { pageBytes } from '../../../store/page-bytes.ts';
import type { ScanPage, StorePages } from '../../../store/store.ts';
import { FrameReader } from '../../../wire/frame.ts';
import { Block } from './block.ts';
import { damaged, indexedKey, readCheckpoint, readNumber } from './environment.ts';
import { Dimension, KeyWriter, lastNumber } from './layout.ts';
import { postedBlocks } from './postings.ts';
import type { EmbeddedReader } from './reader.ts';

const blocksPerPage = 1000; // some 8 MB looked at, at most, before others get their turn

export class StoreScan implements StorePages {
  readonly isRemote = false;
  private readonly reader: EmbeddedReader;
  private readonly filter: EventFilter;
  private readonly keys = new KeyWriter();
  private readonly block = new Block();
  private readonly frame = new FrameReader(Buffer.alloc(0));
  private readonly chain: ChainPlaces | undefined;

  constructor(reader: EmbeddedReader, filter: EventFilter) {
    this.reader = reader;
    this.filter = filter;
    const { aggregateType, aggregateId } = filter;
    if (aggregateType !== undefined && aggregateId !== undefined) {
      this.chain = new ChainPlaces(reader, aggregateType, aggregateId);
    }
  }

  /** Up to `limit` events from position `from` to `to`; undefined if the store has not come to `from` yet. */
  page(from: number, to: number, limit: number): ScanPage | undefined {
    return this.reader.fresh(() => {
      const checkpoint = readCheckpoint(this.reader.environment);
      if (from > checkpoint) return undefined;
      const last = Math.min(to, checkpoint);
      return this.chain ? this.chainPage(this.chain, from, last, limit) : this.blockPage(from, last, limit);
    });
  }

  private blockPage(from: number, last: number, limit: number): ScanPage {
    const { block, frame, filter } = this;
    const events: StoredEvent[] = [];
    let blocks = 0;
    let bytes = 0;
    for (const key of this.blockKeys(from, last)) {
      if (++blocks > blocksPerPage) return { events, next: Math.max(key, from) };
      this.look(key);
      for (let i = 0; i < block.count; i++) {
        const position = block.positionAt(i);
        if (position < from) continue;
        if (position > last) break;
        frame.at(block.frameAt(i));
        if (!filter.matches(frame)) continue;
        events.push(decodeEvent(frame, position));
        bytes += frame.length;
        if (events.length === limit || bytes > pageBytes) return { events, next: position + 1 };
      }
    }
    return { events, next: last + 1 };
  }

  private chainPage(chain: ChainPlaces, from: number, last: number, limit: number): ScanPage {
    const { block, frame, filter } = this;
    const events: StoredEvent[] = [];
    let bytes = 0;
    this.block.key = 0;
    for (const { key, index } of chain.places(from)) {
      if (block.key !== key) this.look(key);
      const position = block.positionAt(index);
      if (position > last) break;
      frame.at(block.frameAt(index));
      if (!filter.matches(frame)) continue;
      events.push(decodeEvent(frame, position));
      bytes += frame.length;
      if (events.length === limit || bytes > pageBytes) return { events, next: position + 1 };
    }
    return { events, next: last + 1 };
  }

  /** The keys of all blocks that may hold what is wanted, ascending. */
  private blockKeys(from: number, last: number): Iterable<number> {
    const { filter } = this;
    const { environment } = this.reader;
    const first = this.blockHolding(from);
    const indexed = readNumber(environment, indexedKey);
    const posted = (dimension: Dimension, name: string): Iterable<number> =>
      postedBlocks(environment, dimension, name, first, Math.min(last, indexed), filter);
    const rest = this.allBlocks(Math.max(first, indexed + 1), last);
    if (filter.types !== undefined) {
      return merge([...[...filter.types].map((type) => posted(Dimension.eventType, type)), rest]);
    }
    if (filter.aggregateType !== undefined) return merge([posted(Dimension.aggregateType, filter.aggregateType), rest]);
    if (filter.isTimed) return merge([posted(Dimension.everything, ''), rest]);
    return this.allBlocks(first, last);
  }

  private *allBlocks(first: number, last: number): Generator<number> {
    const start = Buffer.from(this.keys.block(first));
    const range = { start, end: Buffer.from(this.keys.block(last)), inclusiveEnd: true };
    for (const key of this.reader.environment.blocks.getKeys(range as object)) yield lastNumber(key);
  }

  /** The key of the block that a position lies in, if any does; else some key below it. */
  private blockHolding(position: number): number {
    const range = { start: this.keys.block(position), reverse: true, limit: 1 };
    for (const key of this.reader.environment.blocks.getKeys(range)) return lastNumber(key);
    return 0;
  }

  private look(key: number): void {
    const { block, frame } = this;
    const { environment } = this.reader;
    const bytes = environment.blocks.getBinaryFast(this.keys.block(key));
    if (bytes === undefined || !block.over(key, bytes) || !block.isIntact()) {
      throw damaged(environment.folder, `block ${key} is not as it was written`);
    }
    frame.over(bytes);
  }
}

/** Ascending numbers from several ascending sources, each once. */
function* merge(sources: Iterable<number>[]): Generator<number> {
  const heads: { value: number; rest: Iterator<number> }[] = [];
  try {
    for (const source of sources) {
      const rest = source[Symbol.iterator]();
      const { value, done } = rest.next();
      if (!done) heads.push({ value, rest });
    }
    while (heads.length > 0) {
      const least = heads.reduce((low, { value }) => Math.min(low, value), Number.POSITIVE_INFINITY);
      yield least;
      for (let i = heads.length - 1; i >= 0; i--) {
        const head = heads[i]!;
        if (head.value !== least) continue;
        const { value, done } = head.rest.next();
        if (done) heads.splice(i, 1);
        else head.value = value;
      }
    }
  } finally {
    for (const { rest } of heads) rest.return?.();
  }
}

/** The places of one aggregate's events, oldest first: found once by walking back, then what has come since. */
class ChainPlaces {
  private readonly reader: EmbeddedReader;
  private readonly type: string;
  private readonly id: string;
  private known: { key: number; index: number; position: number }[] = [];
  private version = 0;
  private taken = 0;

  constructor(reader: EmbeddedReader, type: string, id: string) {
    this.reader = reader;
    this.type = type;
    this.id = id;
  }

  /** Within one look: places from position `from` on. `from` never goes back. */
  *places(from: number): Generator<{ key: number; index: number }> {
    const head = this.reader.record(this.type, this.id);
    if (head !== undefined && head.version > this.version) {
      this.known = this.known.slice(this.taken).concat(this.reader.chain.places(head, this.version));
      this.taken = 0;
      this.version = head.version;
    }
    while (this.taken < this.known.length && this.known[this.taken]!.position < from) this.taken++;
    for (let i = this.taken; i < this.known.length; i++) yield this.known[i]!;
  }
}
