// The embedded store as the host thread reads it: the reading half of the public event store.

import { yieldToLoop } from '../../../base/clock.ts';
import { TrunklineError } from '../../../base/errors.ts';
import { checkFields } from '../../../base/known-fields.ts';
import type { AnyAggregate, EventOf, StateOf } from '../../../model/aggregate.ts';
import { decodeEvent, type StoredEvent } from '../../../model/event.ts';
import type { EventFilter } from '../../../store/filter.ts';
import { foldTo } from '../../../store/fold.ts';
import type { LocalArchive } from '../../../store/local.ts';
import { eventsOfType, filterOf, storeQueryFields } from '../../../store/query.ts';
import {
  type AsOf,
  type FramePage,
  type Head,
  nameOf,
  type QuarantinedEvent,
  type StateAt,
  type StoreQuery,
  type TypeQuery,
} from '../../../store/store.ts';
import { FrameReader } from '../../../wire/frame.ts';
import type { BlockCache } from './block-cache.ts';
import { damaged, openEnvironment } from './environment.ts';
import { HeadRecord } from './heads.ts';
import { KeyWriter } from './layout.ts';
import { EmbeddedReader } from './reader.ts';
import { StoreScan } from './scan.ts';

export class EmbeddedStore implements LocalArchive {
  readonly reader: EmbeddedReader;

  private constructor(reader: EmbeddedReader) {
    this.reader = reader;
  }

  /**
   * Open the store for reading; the flush thread has opened it for writing before. `cache`: for one who reads all aggregates.
   * @throws StoreDamaged
   */
  static open(folder: string, cache?: BlockCache): EmbeddedStore {
    try {
      return new EmbeddedStore(new EmbeddedReader(openEnvironment(folder, true), cache));
    } catch (error) {
      if (error instanceof TrunklineError) throw error;
      throw damaged(folder, `it cannot be opened: ${(error as Error).message}`, error);
    }
  }

  checkpoint(): number {
    return this.reader.checkpoint();
  }

  get since(): number {
    return this.reader.since;
  }

  localHead(type: string, id: string): Head | undefined {
    return this.reader.head(type, id);
  }

  async close(): Promise<void> {
    await this.reader.close();
  }

  getByAggregate<A extends AnyAggregate>(aggregate: A, id: string): Promise<EventOf<A>[]>;
  getByAggregate(aggregate: string, id: string): Promise<StoredEvent[]>;
  async getByAggregate(aggregate: AnyAggregate | string, id: string): Promise<any[]> {
    return this.eventsOf(nameOf(aggregate), id, 1);
  }

  getFromVersion<A extends AnyAggregate>(
    aggregate: A,
    id: string,
    version: number,
    limit?: number,
  ): Promise<EventOf<A>[]>;
  getFromVersion(aggregate: string, id: string, version: number, limit?: number): Promise<StoredEvent[]>;
  async getFromVersion(
    aggregate: AnyAggregate | string,
    id: string,
    version: number,
    limit: number = Number.MAX_SAFE_INTEGER,
  ): Promise<any[]> {
    const from = Math.max(1, version);
    return this.eventsOf(nameOf(aggregate), id, from, Math.min(Number.MAX_SAFE_INTEGER, from + limit - 1));
  }

  getByType(type: string, query: TypeQuery = {}): Promise<StoredEvent[]> {
    return eventsOfType(this, type, query, eventsPerPage);
  }

  /** All of them at once, as a load takes them; no promise, which would cost each small aggregate some turns. */
  framesFrom(type: string, id: string, version: number): FramePage {
    return this.reader.fresh(() => {
      const head = this.reader.record(type, id);
      if (head === undefined) return nothing;
      const { chain } = this.reader;
      const positions: number[] = [];
      chain.read(head, Math.max(0, version - 1), head.version, positions);
      return { frames: chain.frames, count: chain.count, positions: positions.reverse(), isLast: true };
    });
  }

  async *query(query: StoreQuery = {}): AsyncGenerator<StoredEvent> {
    checkFields('query', query, storeQueryFields);
    const { signal, pageSize = eventsPerPage } = query;
    const scan = this.scan(filterOf(query));
    const last = this.checkpoint();
    for (let next = 1; next <= last; ) {
      signal?.throwIfAborted();
      const page = scan.page(next, last, pageSize)!;
      yield* page.events;
      next = page.next;
      await yieldToLoop();
    }
  }

  /** Events in log order, page by page. */
  scan(filter: EventFilter): StoreScan {
    return new StoreScan(this.reader, filter);
  }

  async stateAt<A extends AnyAggregate>(
    aggregate: A,
    id: string,
    moment: AsOf,
  ): Promise<StateAt<StateOf<A>> | undefined> {
    const upTo = 'version' in moment ? moment.version : Number.MAX_SAFE_INTEGER;
    return foldTo(aggregate, this.eventsOf(nameOf(aggregate), id, 1, upTo), moment);
  }

  async head(aggregate: AnyAggregate | string, id: string): Promise<Head | undefined> {
    return this.reader.head(nameOf(aggregate), id);
  }

  async *quarantined(): AsyncGenerator<QuarantinedEvent> {}

  async *heads(aggregate: AnyAggregate | string): AsyncIterableIterator<Head & { readonly id: string }> {
    const type = nameOf(aggregate);
    let after: Buffer = Buffer.from(new KeyWriter().headPrefix(type));
    for (;;) {
      const page = this.headPage(type, after);
      for (const { id, version, position } of page.heads) yield { id, version, position };
      if (page.heads.length < headsPerPage) return;
      after = page.last;
    }
  }

  private headPage(type: string, after: Buffer): { heads: HeadRecord[]; last: Buffer } {
    const prefix = Buffer.from(new KeyWriter().headPrefix(type));
    return this.reader.fresh(() => {
      const heads: HeadRecord[] = [];
      let last = after;
      const range = { start: after, exclusiveStart: true, limit: headsPerPage };
      for (const { key, value } of this.reader.environment.heads.getRange(range as object)) {
        last = Buffer.from(key);
        if (last.compare(prefix, 0, prefix.length, 0, prefix.length) !== 0) break;
        heads.push(new HeadRecord(type, last.toString('utf8', prefix.length)).decode(value));
      }
      return { heads, last };
    });
  }

  private eventsOf(type: string, id: string, from: number, upTo: number = Number.MAX_SAFE_INTEGER): StoredEvent[] {
    return this.reader.fresh(() => {
      const head = this.reader.record(type, id);
      if (head === undefined) return [];
      const positions: number[] = [];
      this.reader.chain.read(head, Math.max(0, from - 1), upTo, positions);
      const frame = new FrameReader(this.reader.chain.frames);
      let next = 0;
      return positions.reverse().map((position) => {
        frame.at(next);
        next = frame.next;
        return decodeEvent(frame, position);
      });
    });
  }
}

const nothing: FramePage = { frames: Buffer.alloc(0), count: 0, positions: [], isLast: true };
const headsPerPage = 1000;
const eventsPerPage = 1000;
