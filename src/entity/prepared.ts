// Events of entities with all that will be written of them, and with the versions that are theirs if they are written now.
// Owned by the caller's thread.
import type { AnyAggregate } from '../aggregate.ts';
import { TrunklineError } from '../errors.ts';
import type { NewEvent } from '../event.ts';
import { metadataToJson } from '../limits.ts';
import { toJson } from '../payload.ts';
import type { Heads } from './heads.ts';
import { checkNewEvents } from './new-event.ts';
import type { Transactions } from './transactions.ts';

/** An event with all that will be written of it: what its owner changes in it later does not get in. */
export interface Prepared {
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly type: string;
  readonly id: string | undefined;
  readonly schemaVersion: number;
  readonly occurredAt: number | undefined;
  readonly version: number;
  readonly metadataJson: string;
  readonly dataJson: string;
}

export interface PrepareSettings {
  readonly heads: Heads;
  readonly actorTypes: ReadonlyMap<string, AnyAggregate>;
  readonly transactions: Transactions | undefined;
  readonly expectedVersion: number | undefined;
}

/** @throws InvalidOptions, InvalidId, WrongDoor, ConcurrencyConflict, UnserialisableValue */
export function prepareEvents(events: readonly NewEvent[], settings: PrepareSettings): readonly Prepared[] {
  const { heads, actorTypes, transactions, expectedVersion } = settings;
  checkNewEvents(events);
  const versions = new Map<string, number>();
  return events.map((event): Prepared => {
    const { aggregateType, aggregateId, type } = event;
    if (transactions?.hasTaken(event)) {
      const reason = 'saveWithTx has taken this event; it is published when its transaction commits (see publishAsync)';
      throw new TrunklineError('WrongDoor', { aggregateType, reason });
    }
    if (actorTypes.has(aggregateType)) {
      const reason = 'its events are raised by commands of its actors; entities must use another type';
      throw new TrunklineError('WrongDoor', { aggregateType, reason });
    }
    const key = `${aggregateType}\0${aggregateId}`;
    const before = versions.get(key);
    const actualVersion = before ?? heads.version(aggregateType, aggregateId);
    const expected = before ?? expectedVersion ?? actualVersion;
    const version = event.version ?? expected + 1;
    if (expected !== actualVersion || version !== actualVersion + 1) {
      const details = { aggregateType, aggregateId, actualVersion };
      const wanted = expected === actualVersion ? version - 1 : expected;
      throw new TrunklineError('ConcurrencyConflict', { ...details, expectedVersion: wanted });
    }
    versions.set(key, version);
    const metadataJson = event.metadata === undefined ? '' : metadataToJson(event.metadata);
    const { id, schemaVersion = 1 } = event;
    const occurredAt = event.occurredAt?.getTime();
    const dataJson = toJson(event.data, type);
    return { aggregateType, aggregateId, type, id, schemaVersion, occurredAt, version, metadataJson, dataJson };
  });
}
