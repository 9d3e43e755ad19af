// Events as everyone sees them. How a definition declares one: event-spec.ts.

import { inspect } from 'node:util';
import { userJson } from '../base/json.ts';
import { ownGetter } from '../base/own-getter.ts';
import type { FrameReader } from '../wire/frame.ts';
import type { Metadata } from '../wire/metadata.ts';
import { metadataIn } from '../wire/metadata.ts';
import { deepFreeze } from '../wire/payload.ts';

/** One version of an event's payload. */
export interface EventVersion {
  schemaVersion: number;
  /** Whether a function leads back from it to the version before. */
  hasDown: boolean;
  /** JSON Schema of the payload, where the validator can tell it. */
  jsonSchema?: Record<string, unknown> | undefined;
}

/** An event type as its definition declares it. */
export interface EventDeclaration {
  /** As it is stored, and as sinks get it. */
  aggregateType: string;
  /** Every name that the aggregate type has or had, today's first. */
  aggregateNames?: readonly string[] | undefined;
  type: string;
  /** Every name that the event type has or had, today's first. */
  names?: readonly string[] | undefined;
  schemaVersion: number;
  /** JSON Schema of the payload, where the validator can tell it. */
  jsonSchema?: Record<string, unknown> | undefined;
  /** Every version that can be read, the oldest first; the last one is `schemaVersion`. */
  versions?: readonly EventVersion[] | undefined;
  /** URL of the module that exports the aggregate's definition. */
  module?: string | undefined;
}

/** An event as everyone sees it: immutable, in past tense, of one aggregate, at one place in the log. */
export interface StoredEvent<Type extends string = string, Data = unknown, Name extends string = string> {
  /** UUIDv7, unique but where who saves an event has chosen its id: tell such apart by aggregate and `version`. */
  readonly id: string;
  /** Place in the log: increases strictly, with gaps (receipts and messages take places too). 0 while only `raised`. */
  readonly position: number;
  readonly aggregateType: Name;
  readonly aggregateId: string;
  /** 1, 2, 3 … within the aggregate, no gap, no duplicate. */
  readonly version: number;
  /** By the name that it has today, whatever it was stored by. */
  readonly type: Type;
  /** Version of the payload's shape: the newest, whatever it was stored by. */
  readonly schemaVersion: number;
  readonly occurredAt: Date;
  /** @throws UnsupportedEventVersion, UpcastFailed where it was stored by another version */
  readonly data: Data;
  readonly metadata: Metadata;
  /** Plain JSON values; `occurredAt` as ISO text, decimals as the text they are. */
  toJSON(): Record<string, unknown>;
}

/** An event as `evolve` sees it, alive or replayed: its position is not known yet while it is being raised. */
export type EvolvingEvent<Type extends string = string, Data = unknown, Name extends string = string> = Omit<
  StoredEvent<Type, Data, Name>,
  'position'
>;

/** An event that is not in the log yet, as an entity raised it or as a caller writes it down. */
export interface NewEvent {
  aggregateType: string;
  aggregateId: string;
  type: string;
  data: unknown;
  metadata?: Metadata | undefined;
  /** UUID; default: a new UUIDv7. Not compared with those in the store: published twice, it is there twice. */
  id?: string | undefined;
  /** Default: now. */
  occurredAt?: Date | undefined;
  /** Version of the payload's shape; default 1. */
  schemaVersion?: number | undefined;
  /** The aggregate's version with this event; default: one more than the last. Another one: `ConcurrencyConflict`. */
  version?: number | undefined;
}

const noMetadata: Metadata = Object.freeze({});

/**
 * Decoded from a frame: names at once, payload and metadata when first read, and frozen then. All of it is own and
 * enumerable, so that an event copies as it looks: `{ ...event }`, `structuredClone(event)`, `postMessage(event)`.
 */
class DecodedEvent implements StoredEvent {
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
  readonly #occurredAt: number;
  #data: unknown;
  #dataJson: string | undefined;
  #metadata: Metadata | undefined;
  #metadataJson: string;
  readonly #bytes: number;

  constructor(frame: FrameReader, position: number, aggregateType: string) {
    this.#bytes = frame.length;
    this.id = frame.id;
    this.position = position;
    this.aggregateType = aggregateType;
    this.aggregateId = frame.aggregateId;
    this.version = frame.version;
    this.type = frame.name;
    this.schemaVersion = frame.schemaVersion;
    this.#occurredAt = frame.occurredAt;
    this.#dataJson = frame.dataJson;
    this.#metadataJson = frame.metadataJson;
    ownGetter(this, 'occurredAt', this.#readOccurredAt);
    ownGetter(this, 'data', this.#readData);
    if (this.#metadataJson === '') this.metadata = noMetadata;
    else ownGetter(this, 'metadata', this.#readMetadata);
  }

  /** A new Date each time, since a Date cannot be frozen. */
  #readOccurredAt(): Date {
    return new Date(this.#occurredAt);
  }

  #readData(): unknown {
    if (this.#dataJson !== undefined) {
      this.#data = deepFreeze(userJson(this.#dataJson));
      this.#dataJson = undefined;
    }
    return this.#data;
  }

  #readMetadata(): Metadata {
    this.#metadata ??= deepFreeze(metadataIn(this.#metadataJson));
    return this.#metadata;
  }

  static bytesOf(event: object): number {
    return #bytes in event ? event.#bytes : 0;
  }

  static occurredAtMs(event: StoredEvent): number {
    return #bytes in event ? event.#occurredAt : event.occurredAt.getTime();
  }

  // Reads public properties only: a copy that kept the prototype has no private ones.
  toJSON(): Record<string, unknown> {
    const { id, position, aggregateType, aggregateId, version, type, schemaVersion, data, metadata } = this;
    const occurredAt = this.occurredAt.toISOString();
    return { id, position, aggregateType, aggregateId, version, type, schemaVersion, occurredAt, data, metadata };
  }

  /** As `console.log` shows it. */
  [inspect.custom](): Record<string, unknown> {
    return { ...this.toJSON(), occurredAt: this.occurredAt };
  }
}

/**
 * The event that a frame holds. Copies what it needs: the frame's bytes may be reused afterwards. `aggregateType`: where readers
 * know the type by another name.
 */
export function decodeEvent(
  frame: FrameReader,
  position: number,
  aggregateType: string = frame.aggregateType,
): StoredEvent {
  return Object.freeze(new DecodedEvent(frame, position, aggregateType));
}

/** How many bytes an event had in its frame; 0: it comes from no frame. */
export const bytesOf = (event: object): number => DecodedEvent.bytesOf(event);

/** Milliseconds since 1970, without a Date. */
export const occurredAtMs = (event: StoredEvent): number => DecodedEvent.occurredAtMs(event);

/** Made of fields that are there already: copies and prints as a decoded event does. */
class MadeEvent {
  declare readonly occurredAt: Date;
  readonly #occurredAt: number;

  constructor({ occurredAt, ...fields }: { readonly occurredAt: Date }) {
    Object.assign(this, fields);
    this.#occurredAt = occurredAt.getTime();
    ownGetter(this, 'occurredAt', this.#readOccurredAt);
  }

  #readOccurredAt(): Date {
    return new Date(this.#occurredAt);
  }

  toJSON(): Record<string, unknown> {
    return { ...(this as object), occurredAt: this.occurredAt.toISOString() };
  }

  [inspect.custom](): Record<string, unknown> {
    return { ...(this as object) };
  }
}

/** An event with these fields, frozen; what is in `data` and `metadata` is the caller's to freeze. */
export function eventOf<Fields extends { readonly occurredAt: Date }>(
  fields: Fields,
): Readonly<Fields> & { toJSON(): Record<string, unknown> } {
  return Object.freeze(new MadeEvent(fields)) as unknown as Readonly<Fields> & { toJSON(): Record<string, unknown> };
}
