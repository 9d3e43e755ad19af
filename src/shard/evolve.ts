// From events to state, alive and replayed: one piece of code for both, so that they cannot differ (invariant 10).

import { type InspectOptions, inspect } from 'node:util';
import { TrunklineError } from '../base/errors.ts';
import { userJson } from '../base/json.ts';
import { ownGetter } from '../base/own-getter.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import type { EvolvingEvent } from '../model/event.ts';
import type { EventPast, EventSpec } from '../model/event-spec.ts';
import { type AggregateEvolution, evolutionOf, type StoredName } from '../model/evolution.ts';
import { partId } from '../model/part-id.ts';
import type { EventPlace } from '../model/unreadable-event.ts';
import { FrameReader } from '../wire/frame.ts';
import type { Metadata } from '../wire/metadata.ts';
import { metadataIn } from '../wire/metadata.ts';
import { deepFreeze } from '../wire/payload.ts';

/**
 * An event as reducers see it: id, time and metadata are made when they are read. Own and enumerable like the rest, so
 * that a reducer may spread the event into its state. Made only for a reducer that can see it.
 */
export class AppliedEvent implements EvolvingEvent {
  declare readonly id: string;
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly version: number;
  readonly type: string;
  readonly schemaVersion: number;
  declare readonly occurredAt: Date;
  readonly data: unknown;
  declare readonly metadata: Metadata;
  readonly #occurredAt: number;
  readonly #metadataJson: string;
  // The id as four integers: text only if it is read.
  readonly #id0: number;
  readonly #id1: number;
  readonly #id2: number;
  readonly #id3: number;

  // Fields by position: one is made for each raised event, and an object beside it would be one more allocation.
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
    ownGetter(this, 'id', this.#readId);
    ownGetter(this, 'occurredAt', this.#readOccurredAt);
    ownGetter(this, 'metadata', this.#readMetadata);
  }

  #readId(): string {
    const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, '0');
    const [a, b, c, d] = [hex(this.#id0), hex(this.#id1), hex(this.#id2), hex(this.#id3)];
    return `${a}-${b.slice(0, 4)}-${b.slice(4)}-${c.slice(0, 4)}-${c.slice(4)}${d}`;
  }

  #readOccurredAt(): Date {
    return new Date(this.#occurredAt);
  }

  #readMetadata(): Metadata {
    return deepFreeze(metadataIn(this.#metadataJson));
  }

  toJSON(): Record<string, unknown> {
    const { id, aggregateType, aggregateId, version, type, schemaVersion, data, metadata } = this;
    const occurredAt = this.occurredAt.toISOString();
    return { id, aggregateType, aggregateId, version, type, schemaVersion, occurredAt, data, metadata };
  }
}

type ReducerFunction = (state: unknown, data: unknown, event: EvolvingEvent | undefined) => unknown;

/** The reducer of one event type, and whether it can see the event itself. */
export interface Reducer {
  readonly evolve: ReducerFunction;
  readonly seesEvent: boolean;
}

/** How a definition's stored events are folded. */
interface Folding {
  readonly reducers: ReadonlyMap<string, Reducer>;
  readonly evolution: AggregateEvolution;
  /** By the name in the frame. `reducer`: of the event that it is today, where that is one. */
  readonly byStoredName: ReadonlyMap<string, { readonly known: StoredName; readonly reducer: Reducer | undefined }>;
}

const foldings = new WeakMap<AnyAggregate, Folding>();

function foldingOf(definition: AnyAggregate): Folding {
  let folding = foldings.get(definition);
  if (folding === undefined) {
    const entries = Object.entries(definition.evolve as Record<string, ReducerFunction>);
    const reducers = new Map(entries.map(([type, evolve]) => [type, { evolve, seesEvent: seesEvent(evolve) }]));
    const evolution = evolutionOf(definition);
    const names = [...evolution.names];
    const byStoredName = new Map(names.map(([name, known]) => [name, { known, reducer: reducers.get(known.type) }]));
    folding = { reducers, evolution, byStoredName };
    foldings.set(definition, folding);
  }
  return folding;
}

/** A definition's reducers by event type; names that the definition does not have are not found. */
export const reducersOf = (definition: AnyAggregate): ReadonlyMap<string, Reducer> => foldingOf(definition).reducers;

// `name(a, { b }) {`, `(a, b) =>`, `a =>`, `function (a) {`: parameters without a default, a rest or nested parentheses.
const plainParameters = /^(?:async\s+)?(?:function\b)?\s*[\w$]*\s*(?:\([^()=.]*\)|)\s*(?:=>|\{)/;

/** Whether a function can reach its third argument. In doubt it can: a bound function, a proxy, a rest parameter. */
export function seesEvent(reducer: (...args: never[]) => unknown): boolean {
  if (reducer.length >= 3) return true;
  const text = Function.prototype.toString.call(reducer);
  return !plainParameters.test(text) || /\barguments\b|\beval\b|\[native code\]/.test(text);
}

// Whether a reducer of this thread runs. Reducers return at once, so there is one at a time, or one within another.
let isReducing = false;

/** Whether a reducer runs: what it calls must raise nothing, since the event before it has not been applied yet. */
export const insideReducer = (): boolean => isReducing;

/** Run a reducer. All of them run here, alive and replayed. */
export function reduce(reducer: Reducer, state: unknown, data: unknown, event: AppliedEvent | undefined): unknown {
  const outer = isReducing;
  isReducing = true;
  try {
    return reducer.evolve(state, data, event);
  } finally {
    isReducing = outer;
  }
}

/** Where a fold gets the payloads of its frames. */
export interface Payloads {
  /** A value of the caller's own. */
  of(frame: FrameReader): unknown;
}

const parsed: Payloads = { of: (frame) => userJson(frame.dataJson) };

/**
 * The state after one stored event, whatever that is today. A type that the definition does not know is an error, never
 * skipped. `position` 0: not known here.
 * @throws UnknownEventType, UnsupportedEventVersion, UpcastFailed
 */
export function evolveFrame(
  definition: AnyAggregate,
  state: unknown,
  frame: FrameReader,
  id: string,
  position = 0,
  payloads: Payloads = parsed,
): unknown {
  const { name: type, schemaVersion } = frame;
  const { byStoredName, evolution, reducers } = foldingOf(definition);
  if (evolution.skips(id, frame.version, frame)) return state;
  const found = byStoredName.get(type);
  if (found === undefined) {
    const names = Object.keys(definition.events);
    const stored = { aggregateId: id, version: frame.version, eventId: frame.id, position };
    throw new TrunklineError('UnknownEventType', {
      aggregateType: definition.name,
      eventType: type,
      known: names,
      stored,
    });
  }
  const { known, reducer } = found;
  if (known.kind === 'retired') return state;
  const data = payloads.of(frame);
  if (known.kind === 'event') {
    const { spec } = known;
    if (spec.schemaVersion === schemaVersion)
      return fold(definition, reducer!, state, frame, id, known.type, schemaVersion, data);
    const place = new PlaceOfFrame(definition.name, id, frame, position);
    const newest = evolution.upcast(type, spec, schemaVersion, data, place);
    return fold(definition, reducer!, state, frame, id, known.type, spec.schemaVersion, newest);
  }
  const place = new PlaceOfFrame(definition.name, id, frame, position);
  let after = state;
  for (const [i, part] of evolution.split(known, schemaVersion, data, place).entries()) {
    const reducer = reducers.get(part.type)!;
    after = fold(
      definition,
      reducer,
      after,
      i === 0 ? frame : asPart(frame, i),
      id,
      part.type,
      part.schemaVersion,
      part.data,
    );
  }
  return after;
}

/** Only an error needs the event's id as text, and an error is made while the reader stands at the frame. */
class PlaceOfFrame implements EventPlace {
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly version: number;
  readonly position: number;
  private readonly frame: FrameReader;

  constructor(aggregateType: string, aggregateId: string, frame: FrameReader, position: number) {
    this.aggregateType = aggregateType;
    this.aggregateId = aggregateId;
    this.version = frame.version;
    this.position = position;
    this.frame = frame;
  }

  get id(): string {
    return this.frame.id;
  }
}

/** The same frame with the id of a part. */
function asPart(frame: FrameReader, index: number): FrameReader {
  const bytes = Buffer.from((frame.bytes as Buffer).subarray(frame.offset, frame.offset + frame.length));
  Buffer.from(partId(frame.id, index).replaceAll('-', ''), 'hex').copy(bytes, 16);
  return new FrameReader(bytes).at(0);
}

// By position: it runs for each event of a load, and an object of them would be one more allocation.
function fold(
  { name }: AnyAggregate,
  reducer: Reducer,
  state: unknown,
  frame: FrameReader,
  id: string,
  type: string,
  schemaVersion: number,
  data: unknown,
): unknown {
  if (!reducer.seesEvent) return reduce(reducer, state, data, undefined);
  const { version, occurredAt, metadataJson, view } = frame;
  const idOffset = frame.offset + 16;
  return reduce(
    reducer,
    state,
    data,
    new AppliedEvent(name, id, version, type, schemaVersion, data, occurredAt, metadataJson, view, idOffset),
  );
}

/** `inspect` cuts off by default: items behind the hundredth, long texts, deep values. */
const allOfIt: InspectOptions = {
  depth: Number.POSITIVE_INFINITY,
  maxArrayLength: Number.POSITIVE_INFINITY,
  maxStringLength: Number.POSITIVE_INFINITY,
  breakLength: Number.POSITIVE_INFINITY,
  sorted: true,
};

/** What older events are read by: a definition without a past adds nothing, so that its snapshots stay good. */
function addPast(
  { events, retired = [], renamedFrom = [], skipped = [] }: AnyAggregate,
  add: (text: string) => void,
): void {
  const addSteps = (type: string, { steps }: EventPast): void => {
    for (const { up, schemaVersion } of steps) if (up !== undefined) add(`${type}@${schemaVersion}${up.toString()}`);
  };
  for (const [type, { past }] of Object.entries(events as Record<string, EventSpec<any>>).sort()) {
    addSteps(type, past);
    for (const name of past.names) add(`${type}<${name}`);
    for (const source of past.splits) {
      add(`${type}@${source.schemaVersion}<<${source.type}${source.split.toString()}`);
      if (source.spec !== undefined) addSteps(source.type, source.spec.past);
    }
  }
  for (const type of [...retired].sort()) add(`-${type}`);
  for (const { id, version, eventId } of skipped) add(`!${id}@${version}${eventId}`);
  for (const name of renamedFrom) add(`<${name}`); // reducers may look at the type's name
}

/**
 * Changes when the text of a reducer or an upcaster, the first state or the declared snapshot version does: a snapshot of
 * another one is not used. What a function has captured from around it is not seen: that is what the declared version is for.
 */
export function reducerFingerprint(definition: AnyAggregate): string {
  let hash = 0x811c9dc5;
  const add = (text: string): void => {
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  };
  add(definition.state.toString());
  add(inspect(definition.state(), allOfIt));
  const reducers = reducersOf(definition);
  for (const type of [...reducers.keys()].sort()) add(type + reducers.get(type)!.evolve.toString());
  addPast(definition, add);
  return `${definition.snapshot.version}:${(hash >>> 0).toString(36)}`;
}
