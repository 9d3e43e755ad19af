// What users read of a store: the stored events as this release knows them. Adapters below it read what is stored, and know
// nothing of versions and names of the past.

import type { AnyAggregate, EventOf, StateOf } from '../model/aggregate.ts';
import type { StoredEvent } from '../model/event.ts';
import { Evolution } from '../model/evolution.ts';
import { eventsToday, today, wantedParts } from '../model/evolved-event.ts';
import { asStoredQuery, eventsOfType, namesIn } from './query.ts';
import {
  type AsOf,
  type EventArchive,
  type Head,
  nameOf,
  type QuarantinedEvent,
  type StateAt,
  type StoreQuery,
  type TypeQuery,
} from './store.ts';

const eventsPerPage = 1000;

/** The name by which it is stored. */
const typeIn = (evolution: Evolution, aggregate: AnyAggregate | string): string =>
  evolution.storedType(nameOf(aggregate));

export class EvolvedArchive implements EventArchive {
  private readonly stored: EventArchive;
  private readonly evolution: Evolution;

  /** `evolution`: of the definitions that are known here. One that a call names is known to that call, too. */
  constructor(stored: EventArchive, evolution: Evolution) {
    this.stored = stored;
    this.evolution = evolution;
  }

  getByAggregate<A extends AnyAggregate>(aggregate: A, id: string): Promise<EventOf<A>[]>;
  getByAggregate(aggregate: string, id: string): Promise<StoredEvent[]>;
  async getByAggregate(aggregate: any, id: string): Promise<any[]> {
    const evolution = this.knowing(aggregate);
    return eventsToday(await this.stored.getByAggregate(typeIn(evolution, aggregate), id), evolution);
  }

  getFromVersion<A extends AnyAggregate>(
    aggregate: A,
    id: string,
    version: number,
    limit?: number,
  ): Promise<EventOf<A>[]>;
  getFromVersion(aggregate: string, id: string, version: number, limit?: number): Promise<StoredEvent[]>;
  async getFromVersion(
    aggregate: any,
    id: string,
    version: number,
    limit: number = Number.MAX_SAFE_INTEGER,
  ): Promise<any[]> {
    const evolution = this.knowing(aggregate);
    const type = typeIn(evolution, aggregate);
    const events: StoredEvent[] = [];
    // Those of retired types count for nothing.
    for (let next = version; events.length < limit; ) {
      const most = limit - events.length;
      const stored = await this.stored.getFromVersion(type, id, next, most);
      events.push(...eventsToday(stored, evolution));
      if (stored.length < most) break;
      next = stored.at(-1)!.version + 1;
    }
    return events;
  }

  getByType(type: string, query: TypeQuery = {}): Promise<StoredEvent[]> {
    return eventsOfType(this, type, query, eventsPerPage);
  }

  query(query: StoreQuery = {}): AsyncIterableIterator<StoredEvent> {
    const evolution = this.knowing(query.aggregate);
    return evolution.isEmpty ? this.stored.query(query) : this.today(query, evolution);
  }

  private async *today(query: StoreQuery, evolution: Evolution): AsyncGenerator<StoredEvent> {
    const names = namesIn(query, evolution);
    for await (const stored of this.stored.query(asStoredQuery(query, names, evolution))) {
      const event = today(stored, evolution);
      if (event !== undefined) yield* wantedParts(event, names);
    }
  }

  stateAt<A extends AnyAggregate>(aggregate: A, id: string, moment: AsOf): Promise<StateAt<StateOf<A>> | undefined> {
    return this.stored.stateAt(aggregate, id, moment);
  }

  head(aggregate: AnyAggregate | string, id: string): Promise<Head | undefined> {
    return this.stored.head(typeIn(this.evolution, aggregate), id);
  }

  heads(aggregate: AnyAggregate | string): AsyncIterableIterator<Head & { readonly id: string }> {
    return this.stored.heads(typeIn(this.evolution, aggregate));
  }

  async *quarantined(): AsyncGenerator<QuarantinedEvent> {
    for await (const { event, ...rest } of this.stored.quarantined()) {
      yield { event: today(event, this.evolution) ?? event, ...rest };
    }
  }

  private knowing(aggregate: AnyAggregate | string | undefined): Evolution {
    return typeof aggregate === 'object' ? new Evolution([aggregate]) : this.evolution;
  }
}
