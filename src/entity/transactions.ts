// Puts events of entities into transactions of the user's own: checked and serialised before the server is asked
// anything. Runs in the host thread; touches neither ring nor log: a relay brings them there once they are committed.

import { dateMs } from '../base/clock.ts';
import { TrunklineError } from '../base/errors.ts';
import { shown } from '../base/shown.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import type { NewEvent } from '../model/event.ts';
import type { AppendedEvent, TransactionAppend, TransactionClient } from '../store/store.ts';
import { newId } from '../wire/ids.ts';
import { checkBytes, RELAYED_DATA_BYTES_LIMIT, RELAYED_METADATA_BYTES_LIMIT } from '../wire/limits.ts';
import { metadataToJson } from '../wire/metadata.ts';
import { toJson } from '../wire/payload.ts';
import { payloadOf } from './declared.ts';
import { checkNewEvents } from './new-event.ts';
import type { OutboxHints } from './outbox-door.ts';

export class Transactions {
  private readonly store: TransactionAppend | undefined;
  private readonly actorTypes: ReadonlyMap<string, AnyAggregate>;
  private readonly entities: ReadonlyMap<string, AnyAggregate>;
  private readonly outbox: OutboxHints;
  /** Events as the user gave them: if their transaction commits, the relay publishes them. */
  private readonly taken = new WeakSet<NewEvent>();

  /** `store`: undefined where the runtime's store takes no part in transactions. */
  constructor(
    store: TransactionAppend | undefined,
    actorTypes: ReadonlyMap<string, AnyAggregate>,
    outbox: OutboxHints,
    entities: ReadonlyMap<string, AnyAggregate> = new Map(),
  ) {
    this.store = store;
    this.actorTypes = actorTypes;
    this.entities = entities;
    this.outbox = outbox;
  }

  /** All of them or none, within the client's open transaction; the versions that they got. */
  async append(client: TransactionClient, events: readonly NewEvent[]): Promise<number[]> {
    if (this.store === undefined) {
      const reason = 'this store has no transactions to take part in; saveWithTx needs a store in a database of yours';
      throw new TrunklineError('InvalidOptions', { option: 'store', reason });
    }
    checkClient(client);
    if (events.length === 0) return [];
    checkNewEvents(events);
    const prepared = this.prepare(events);
    for (const event of events) this.taken.add(event);
    return this.store.append(client, prepared);
  }

  /** Whether an event has been given to a transaction: nothing else may publish it then. */
  hasTaken(event: NewEvent): boolean {
    return this.taken.has(event);
  }

  /** Whether database roles may raise events of this type, in transactions: then they come through those alone. */
  mayBeRaised(aggregateType: string): boolean {
    return this.outbox.mayBeRaised(aggregateType);
  }

  /** A transaction with events in it has been committed: a hint, without which the relay would look a little later. */
  committed(): void {
    this.outbox.hint();
  }

  private prepare(events: readonly NewEvent[]): AppendedEvent[] {
    const versions = new Map<string, number>();
    return events.map((event) => {
      const prepared = this.prepareOne(event);
      const { aggregateType, aggregateId, expectedVersion } = prepared;
      const key = `${aggregateType}\0${aggregateId}`;
      const before = versions.get(key);
      if (before !== undefined && expectedVersion !== undefined && expectedVersion !== before) {
        const details = { aggregateType, aggregateId, expectedVersion, actualVersion: before };
        throw new TrunklineError('ConcurrencyConflict', details);
      }
      const follows = expectedVersion ?? before;
      if (follows !== undefined) versions.set(key, follows + 1);
      return { ...prepared, expectedVersion: follows };
    });
  }

  private prepareOne(event: NewEvent): AppendedEvent {
    const { aggregateType, aggregateId, type, id = newId(), occurredAt = new Date(dateMs()) } = event;
    if (this.actorTypes.has(aggregateType)) {
      const reason = 'its events are raised by commands of its actors; entities must use another type';
      throw new TrunklineError('AggregateTypeOwnedElsewhere', { aggregateType, reason });
    }
    const { data, schemaVersion } = payloadOf(event, this.entities);
    const metadataJson = event.metadata === undefined ? '' : metadataToJson(event.metadata);
    const dataJson = toJson(data, type);
    checkBytes(dataJson, RELAYED_DATA_BYTES_LIMIT);
    checkBytes(metadataJson, RELAYED_METADATA_BYTES_LIMIT);
    const expectedVersion = event.version === undefined ? undefined : event.version - 1;
    return { id, aggregateType, aggregateId, type, schemaVersion, occurredAt, dataJson, metadataJson, expectedVersion };
  }
}

/** Without a transaction every statement would be one of its own, and a pool may send each to another connection. */
function checkClient(
  client: TransactionClient & { totalCount?: unknown; getTransactionStatus?(): string | null },
): void {
  const invalid = (reason: string): never => {
    throw new TrunklineError('InvalidOptions', { option: 'client', value: shown(client), reason });
  };
  if (typeof client?.query !== 'function' || typeof client.totalCount === 'number') {
    invalid("must be a connected client of 'pg' with a transaction open on it, and no pool");
  }
  const status = client.getTransactionStatus?.(); // of pg's own clients, since 8.18
  if (status === 'I') invalid('has no transaction open: await its BEGIN before');
}
