// Events of entities with all that will be written of them: a draft in the call of the user's, with versions once it is their
// turn. Owned by the host thread.
//
// Invariant: what a draft holds is text and numbers, taken in the call itself. A turn may come later, after the store was asked
// or a commit has ended: what the owner of the events has made of them by then is not looked at.

import { TrunklineError } from '../base/errors.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import type { NewEvent } from '../model/event.ts';
import { metadataToJson } from '../wire/metadata.ts';
import { toJson } from '../wire/payload.ts';
import { payloadOf } from './declared.ts';
import type { Heads } from './heads.ts';
import { checkNewEvents } from './new-event.ts';
import type { Transactions } from './transactions.ts';

/** An event as it was when it was given; only its version is still open. */
export interface Draft {
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly type: string;
  readonly id: string | undefined;
  readonly schemaVersion: number;
  readonly occurredAt: number | undefined;
  /** The version that its owner has given it; undefined: the next. */
  readonly givenVersion: number | undefined;
  readonly metadataJson: string;
  readonly dataJson: string;
  /** 0 until its turn has come. */
  version: number;
}

/** With a version that is its own, if it is written in this turn. */
export type Prepared = Readonly<Draft>;

export interface DraftSettings {
  readonly actorTypes: ReadonlyMap<string, AnyAggregate>;
  readonly transactions: Transactions | undefined;
  /** Entities whose events are declared, by their types. */
  readonly entities: ReadonlyMap<string, AnyAggregate>;
}

/**
 * In the call itself, before anything is waited for.
 * @throws InvalidOptions, InvalidId, AggregateTypeOwnedElsewhere, UnserialisableValue, and what `payloadOf` does
 */
export function draftEvents(events: readonly NewEvent[], settings: DraftSettings): readonly Draft[] {
  const { actorTypes, transactions, entities } = settings;
  checkNewEvents(events);
  return events.map((event): Draft => {
    const { aggregateType, aggregateId, type } = event;
    if (transactions?.hasTaken(event)) {
      const reason = 'saveWithTx has taken this event; it is published when its transaction commits (see publishAsync)';
      throw new TrunklineError('AggregateTypeOwnedElsewhere', { aggregateType, reason });
    }
    if (actorTypes.has(aggregateType)) {
      const reason = 'its events are raised by commands of its actors; entities must use another type';
      throw new TrunklineError('AggregateTypeOwnedElsewhere', { aggregateType, reason });
    }
    if (transactions?.mayBeRaised(aggregateType)) {
      const reason = 'raise_rights lets database roles write its events in transactions; save them with saveWithTx';
      throw new TrunklineError('AggregateTypeOwnedElsewhere', { aggregateType, reason });
    }
    const { id, version: givenVersion } = event;
    const { data, schemaVersion } = payloadOf(event, entities);
    const occurredAt = event.occurredAt?.getTime();
    const metadataJson = event.metadata === undefined ? '' : metadataToJson(event.metadata);
    const dataJson = toJson(data, type);
    return {
      aggregateType,
      aggregateId,
      type,
      id,
      schemaVersion,
      occurredAt,
      givenVersion,
      metadataJson,
      dataJson,
      version: 0,
    };
  });
}

/** In the turn in which they are written: each gets its version. @throws ConcurrencyConflict */
export function prepareDrafts(
  drafts: readonly Draft[],
  heads: Heads,
  expectedVersion: number | undefined,
): readonly Prepared[] {
  const versions = new Map<string, number>();
  for (const draft of drafts) {
    const { aggregateType, aggregateId } = draft;
    const key = `${aggregateType}\0${aggregateId}`;
    const before = versions.get(key);
    const actualVersion = before ?? heads.version(aggregateType, aggregateId);
    const expected = before ?? expectedVersion ?? actualVersion;
    const version = draft.givenVersion ?? expected + 1;
    if (expected !== actualVersion || version !== actualVersion + 1) {
      const details = { aggregateType, aggregateId, actualVersion };
      const wanted = expected === actualVersion ? version - 1 : expected;
      throw new TrunklineError('ConcurrencyConflict', { ...details, expectedVersion: wanted });
    }
    versions.set(key, version);
    draft.version = version;
  }
  return drafts;
}
