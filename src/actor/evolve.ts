// From events to state, alive and replayed: one piece of code for both, so that they cannot differ (invariant 10).
import type { AnyAggregate } from '../aggregate.ts';
import { TrunklineError } from '../errors.ts';
import type { EvolvingEvent, Metadata } from '../event.ts';
import type { FrameReader } from '../frame.ts';
import { deepFreeze } from '../payload.ts';

/** An event as reducers see it. Made once per event: holds the id as four integers until somebody asks for text. */
export class AppliedEvent implements EvolvingEvent {
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly version: number;
  readonly type: string;
  readonly schemaVersion: number;
  readonly data: unknown;
  readonly #occurredAt: number;
  readonly #metadataJson: string;
  readonly #id0: number;
  readonly #id1: number;
  readonly #id2: number;
  readonly #id3: number;

  constructor(
    aggregateType: string,
    aggregateId: string,
    version: number,
    type: string,
    schemaVersion: number,
    data: unknown,
    occurredAt: number,
    metadataJson: string,
    view: DataView,
    idOffset: number,
  ) {
    this.aggregateType = aggregateType;
    this.aggregateId = aggregateId;
    this.version = version;
    this.type = type;
    this.schemaVersion = schemaVersion;
    this.data = data;
    this.#occurredAt = occurredAt;
    this.#metadataJson = metadataJson;
    this.#id0 = view.getInt32(idOffset);
    this.#id1 = view.getInt32(idOffset + 4);
    this.#id2 = view.getInt32(idOffset + 8);
    this.#id3 = view.getInt32(idOffset + 12);
  }

  get id(): string {
    const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, '0');
    const [a, b, c, d] = [hex(this.#id0), hex(this.#id1), hex(this.#id2), hex(this.#id3)];
    return `${a}-${b.slice(0, 4)}-${b.slice(4)}-${c.slice(0, 4)}-${c.slice(4)}${d}`;
  }

  get occurredAt(): Date {
    return new Date(this.#occurredAt);
  }

  get metadata(): Metadata {
    return this.#metadataJson === '' ? {} : deepFreeze(JSON.parse(this.#metadataJson) as Metadata);
  }

  toJSON(): Record<string, unknown> {
    const { id, aggregateType, aggregateId, version, type, schemaVersion, data, metadata } = this;
    const occurredAt = this.occurredAt.toISOString();
    return { id, aggregateType, aggregateId, version, type, schemaVersion, occurredAt, data, metadata };
  }
}

export type Reducers = Record<string, (state: unknown, data: unknown, event: EvolvingEvent) => unknown>;

/** The state after one stored event. A type that the definition does not know is an error, never skipped. */
export function evolveFrame(definition: AnyAggregate, state: unknown, frame: FrameReader, id: string): unknown {
  const type = frame.name;
  const reducer = (definition.evolve as Reducers)[type];
  if (!reducer) {
    const known = Object.keys(definition.events);
    throw new TrunklineError('UnknownEventType', { aggregateType: definition.name, eventType: type, known });
  }
  const applied = new AppliedEvent(
    definition.name,
    id,
    frame.version,
    type,
    frame.schemaVersion,
    JSON.parse(frame.dataJson),
    frame.occurredAt,
    frame.metadataJson,
    frame.view,
    frame.offset + 16,
  );
  return reducer(state, applied.data, applied);
}

/** Changes when a reducer's text or the declared snapshot version does: a snapshot of another one is not used. */
export function reducerFingerprint(definition: AnyAggregate): string {
  let hash = 0x811c9dc5;
  const add = (text: string): void => {
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  };
  add(definition.state.toString());
  const reducers = definition.evolve as Reducers;
  for (const type of Object.keys(reducers).sort()) add(type + reducers[type]!.toString());
  return `${definition.snapshot.version}:${(hash >>> 0).toString(36)}`;
}
