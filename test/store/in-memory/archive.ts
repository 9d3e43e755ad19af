// The store in memory as its own thread reads it.

import { checkFields } from '../../../src/base/known-fields.ts';
import type { AnyAggregate } from '../../../src/model/aggregate.ts';
import { decodeEvent, type StoredEvent } from '../../../src/model/event.ts';
import type { StoreArchive } from '../../../src/store/adapter.ts';
import type { EventFilter } from '../../../src/store/filter.ts';
import { foldTo } from '../../../src/store/fold.ts';
import { eventsOfType, filterOf, storeQueryFields } from '../../../src/store/query.ts';
import {
  type AsOf,
  type FramePage,
  type Head,
  nameOf,
  type PagedStore,
  type QuarantinedEvent,
  type StoreQuery,
  type TypeQuery,
} from '../../../src/store/store.ts';
import { FrameReader } from '../../../src/wire/frame.ts';
import { away } from './asker.ts';
import type { HeldEvent, Holder } from './holder.ts';

const frameOf = ({ frame }: HeldEvent): FrameReader => new FrameReader(Buffer.from(frame)).at(0);
const decoded = (event: HeldEvent): StoredEvent => decodeEvent(frameOf(event), event.position);

export class InMemoryArchive implements StoreArchive {
  private readonly held: Holder;

  constructor(holder: Holder) {
    this.held = holder;
  }

  private get holder(): Holder {
    if (this.held.isAway) throw away();
    return this.held;
  }

  async check(): Promise<void> {
    void this.holder;
  }

  async otherThan(logId: string, type: string, id: string, version: number): Promise<string | undefined> {
    const head = this.holder.head(type, id);
    const stored = head?.events.length ?? 0;
    if (stored < version) return `the store has it at version ${stored}`;
    return stored === version || head?.events[version]?.logId === logId ? undefined : 'another log has gone on';
  }

  historyOf(logId: string): PagedStore {
    return {
      scan: (filter: EventFilter) => ({
        isRemote: true,
        page: (from, to, limit) => {
          if (from > this.holder.checkpoint(logId)) return undefined;
          const mine = this.holder.events.filter(
            (event) => event.logId === logId && event.position >= from && event.position <= to,
          );
          const found = mine.filter((event) => filter.matches(frameOf(event))).slice(0, limit);
          const last = Math.min(to, this.holder.checkpoint(logId));
          return { events: found.map(decoded), next: found.length < limit ? last + 1 : found.at(-1)!.position + 1 };
        },
      }),
    };
  }

  getByAggregate(aggregate: AnyAggregate | string, id: string): Promise<any[]> {
    return this.getFromVersion(aggregate, id, 1);
  }

  async getFromVersion(aggregate: AnyAggregate | string, id: string, version: number, limit?: number): Promise<any[]> {
    const events = this.holder.head(nameOf(aggregate), id)?.events ?? [];
    const first = Math.max(0, version - 1);
    return events.slice(first, limit === undefined ? undefined : first + limit).map(decoded);
  }

  async framesFrom(type: string, id: string, version: number): Promise<FramePage> {
    const events = (this.holder.head(type, id)?.events ?? []).slice(Math.max(0, version - 1));
    const frames = Buffer.concat(events.map(({ frame }) => Buffer.concat([frame, Buffer.alloc(-frame.length & 7)])));
    return { frames, count: events.length, positions: events.map(({ position }) => position), isLast: true };
  }

  getByType(type: string, query: TypeQuery = {}): Promise<StoredEvent[]> {
    return eventsOfType(this, type, query, 100);
  }

  async *query(query: StoreQuery = {}): AsyncIterableIterator<StoredEvent> {
    checkFields('query', query, storeQueryFields);
    const filter = filterOf(query);
    for (const event of [...this.holder.events]) {
      query.signal?.throwIfAborted();
      if (filter.matches(frameOf(event))) yield decoded(event);
    }
  }

  async stateAt(aggregate: any, id: string, moment: AsOf): Promise<any> {
    return foldTo(aggregate, await this.getByAggregate(aggregate, id), moment);
  }

  async head(aggregate: AnyAggregate | string, id: string): Promise<Head | undefined> {
    const events = this.holder.head(nameOf(aggregate), id)?.events;
    return events && { version: events.length, position: events.at(-1)!.position };
  }

  async *heads(aggregate: AnyAggregate | string): AsyncIterableIterator<Head & { readonly id: string }> {
    const ids = this.holder.idsOf(nameOf(aggregate)).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const id of ids) yield { id, ...(await this.head(aggregate, id))! };
  }

  async *quarantined(): AsyncIterableIterator<QuarantinedEvent> {
    for (const { event, code, reason } of this.holder.refused) {
      yield { event: decoded(event), logId: event.logId, code, reason, quarantinedAt: new Date() };
    }
  }

  async close(): Promise<void> {}
}
