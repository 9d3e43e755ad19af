// A stored event as this release reads it: by its name of today, its payload of the newest version, made when it is first read.
//
// Invariant: whatever is kept of an event by its place (a position that is done, a version, a dead letter) goes by the stored
// event, also where that has become several: those are made last, where they are folded or handled.

import { inspect } from 'node:util';
import { ownGetter } from '../base/own-getter.ts';
import type { Metadata } from '../wire/metadata.ts';
import { deepFreeze } from '../wire/payload.ts';
import { eventOf, type StoredEvent } from './event.ts';
import type { AggregateEvolution, Evolution, StoredName, WantedNames } from './evolution.ts';
import { partId } from './part-id.ts';

/** Copies and prints as a decoded event does: what is not made yet is own and enumerable, too. */
class EvolvedEvent implements StoredEvent {
  readonly id: string;
  readonly position: number;
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly version: number;
  readonly type: string;
  readonly schemaVersion: number;
  declare readonly occurredAt: Date;
  declare readonly data: unknown;
  declare readonly metadata: Metadata;
  readonly #stored: StoredEvent;
  readonly #evolution: AggregateEvolution;
  /** undefined: no definition knows its type. */
  readonly #known: StoredName | undefined;
  #data: unknown;
  #parts: readonly StoredEvent[] | undefined;

  constructor(stored: StoredEvent, evolution: AggregateEvolution, known: StoredName | undefined) {
    const { id, position, aggregateId, version, schemaVersion } = stored;
    this.id = id;
    this.position = position;
    this.aggregateType = evolution.aggregateType;
    this.aggregateId = aggregateId;
    this.version = version;
    this.type = known?.type ?? stored.type;
    this.schemaVersion = known?.kind === 'event' ? known.spec.schemaVersion : schemaVersion;
    this.#stored = stored;
    this.#evolution = evolution;
    this.#known = known;
    ownGetter(this, 'occurredAt', this.#readOccurredAt);
    ownGetter(this, 'data', this.#readData);
    ownGetter(this, 'metadata', this.#readMetadata);
  }

  #readOccurredAt(): Date {
    return this.#stored.occurredAt;
  }

  #readMetadata(): Metadata {
    return this.#stored.metadata;
  }

  #readData(): unknown {
    if (this.#data !== undefined) return this.#data;
    const stored = this.#stored;
    const known = this.#known;
    if (known?.kind !== 'event') return stored.data;
    const { data, type, schemaVersion } = stored;
    this.#data = deepFreeze(this.#evolution.upcast(type, known.spec, schemaVersion, data, stored));
    return this.#data;
  }

  static storedOf(event: StoredEvent): StoredEvent {
    return #stored in event ? event.#stored : event;
  }

  static isSplit(event: object): boolean {
    return #known in event && event.#known?.kind === 'split';
  }

  static partsOf(event: StoredEvent): readonly StoredEvent[] {
    if (!(#known in event) || event.#known?.kind !== 'split') return [event];
    event.#parts ??= event.#split(event.#known);
    return event.#parts;
  }

  #split(known: StoredName & { kind: 'split' }): readonly StoredEvent[] {
    const { id, position, aggregateId, version, occurredAt, metadata, data, schemaVersion } = this.#stored;
    const { aggregateType } = this;
    const place = { position, aggregateType, aggregateId, version, occurredAt, metadata };
    return this.#evolution
      .split(known, schemaVersion, data, this)
      .map((part, i) => eventOf({ id: partId(id, i), ...place, ...part, data: deepFreeze(part.data) }));
  }

  toJSON(): Record<string, unknown> {
    const { id, position, aggregateType, aggregateId, version, type, schemaVersion, data, metadata } = this;
    const occurredAt = this.occurredAt.toISOString();
    return { id, position, aggregateType, aggregateId, version, type, schemaVersion, occurredAt, data, metadata };
  }

  /** As `console.log` shows it, also where its payload cannot be made. */
  [inspect.custom](): Record<string, unknown> {
    const { id, position, aggregateType, aggregateId, version, type, schemaVersion, occurredAt, metadata } = this;
    const shown = { id, position, aggregateType, aggregateId, version, type, schemaVersion, occurredAt };
    try {
      return { ...shown, data: this.data, metadata };
    } catch (error) {
      return { ...shown, data: error, metadata };
    }
  }
}

/** The event as this release reads it; itself, if it is stored so. undefined: its type is retired, or it is skipped on purpose. */
export function today(stored: StoredEvent, evolution: Evolution): StoredEvent | undefined {
  const ofType = evolution.ofStored(stored.aggregateType);
  if (ofType === undefined) return stored;
  const known = ofType.names.get(stored.type);
  if (known?.kind === 'retired' || ofType.skips(stored.aggregateId, stored.version, stored)) return undefined;
  const isSame = known === undefined || isNewest(known, stored);
  if (isSame && ofType.aggregateType === stored.aggregateType) return stored;
  return Object.freeze(new EvolvedEvent(stored, ofType, known));
}

const isNewest = (known: StoredName, { type, schemaVersion }: StoredEvent): boolean =>
  known.kind === 'event' && known.type === type && known.spec.schemaVersion === schemaVersion;

/** As it lies in the store. */
export const asStored = (event: StoredEvent): StoredEvent => EvolvedEvent.storedOf(event);

/** Whether the stored event has become others: `partsOf` names them. */
export const isSplit = (event: StoredEvent): boolean => EvolvedEvent.isSplit(event);

/** The events that a stored one is today: itself, or those that it was split into. @throws UnsupportedEventVersion, UpcastFailed */
export const partsOf = (event: StoredEvent): readonly StoredEvent[] => EvolvedEvent.partsOf(event);

/** Those of several stored events, in their order: what readers see. `names`: those that are wanted; undefined: all. */
export function eventsToday(
  stored: readonly StoredEvent[],
  evolution: Evolution,
  names?: WantedNames | undefined,
): StoredEvent[] {
  return stored.flatMap((one) => {
    const event = today(one, evolution);
    return event === undefined ? [] : wantedParts(event, names);
  });
}

/** Those of the events that a stored one is today which are wanted. */
export function wantedParts(event: StoredEvent, names: WantedNames | undefined): readonly StoredEvent[] {
  const parts = partsOf(event);
  if (names === undefined || (parts.length === 1 && names.has(parts[0]!))) return parts;
  return parts.filter((part) => names.has(part));
}

/** Whether any of them is. One whose parts cannot be made counts: the reader that takes it gets the error. */
export function isWanted(event: StoredEvent, names: WantedNames | undefined): boolean {
  if (names === undefined) return true;
  if (!isSplit(event)) return names.has(event);
  try {
    return partsOf(event).some((part) => names.has(part));
  } catch {
    return true;
  }
}
