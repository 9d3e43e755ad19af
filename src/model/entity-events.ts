// What the events of an entity are: an aggregate of the host thread's own, without actors. Its events have versions, names and
// validators as those of actors have.

import { TrunklineError } from '../base/errors.ts';
import { AGGREGATE_TYPE_BYTES_LIMIT, NAME_BYTES_LIMIT } from '../base/name-limits.ts';
import { own } from '../base/own.ts';
import { tame } from '../base/tame.ts';
import type { Aggregate, AnyAggregate } from './aggregate.ts';
import { checkName, checkPast, checkShape, isReadable, type SkippedEvent, takenSkipped } from './definition-checks.ts';
import { type EventSpec, isEventSpec } from './event-spec.ts';
import { validate } from './validate.ts';

type Events = Record<string, EventSpec<any, any>>;

/** The declared events of an entity: wherever an aggregate's definition says which events are meant, this does, too. */
export interface EntityEvents<Name extends string = any, E extends Events = any>
  extends Aggregate<Name, undefined, E, Record<never, never>> {}

const mark = Symbol.for('trunkline.EntityEvents');

/** Whether something was made by `defineEntityEvents`, of this copy of the package or of another one. */
export const isEntityEvents = (value: unknown): value is EntityEvents =>
  typeof value === 'object' && value !== null && mark in value;

/**
 * Declare the events of an entity, for the runtime's option `entities` and for `AggregateRoot`.
 *
 * ```ts
 * export const StockEvents = defineEntityEvents('stock', {
 *   events: { Repriced: versions<{ price: string }>().next<{ cents: number }>(({ price }) => ({ cents: Number(price) * 100 })) },
 * });
 * ```
 * @throws InvalidDefinition
 */
export function defineEntityEvents<const Name extends string, E extends Events>(
  name: Name,
  spec: {
    events: E;
    /** Event types of the past that mean nothing any more: handlers and readers pass over them. */
    retired?: readonly string[] | undefined;
    /** Single stored events that handlers and readers pass over. At most 10,000. */
    skipped?: readonly SkippedEvent[] | undefined;
  },
): EntityEvents<Name, E> {
  const fail = (reason: string): never => {
    throw new TrunklineError('InvalidDefinition', { aggregateType: tame(name), reason });
  };
  checkName('aggregate type', name, AGGREGATE_TYPE_BYTES_LIMIT, fail);
  checkShape('', spec, ['events', 'retired', 'skipped'], fail);
  if (!isReadable(spec.events)) fail('events must be an object of event() or versions() by name');
  for (const [type, event] of Object.entries(spec.events)) {
    checkName('event type', type, NAME_BYTES_LIMIT, fail);
    if (!isEventSpec(event)) fail(`event '${type}' must be made by event() or versions()`);
  }
  const { events, retired = [], skipped = [] } = spec;
  checkPast({ events, retired, renamedFrom: [], skipped }, fail);
  const entity = {
    ...{ name, events, retired: [...retired], skipped: takenSkipped(skipped) },
    ...{ renamedFrom: Object.freeze([]), module: '', state: () => undefined, evolve: {}, commands: {} },
    snapshot: { every: 0, version: 1 },
  };
  return Object.freeze(Object.defineProperty(entity, mark, { value: true })) as unknown as EntityEvents<Name, E>;
}

/** A payload as its validator makes it, and its version. */
export interface DeclaredPayload {
  readonly data: unknown;
  readonly schemaVersion: number;
}

/** By its name of today. @throws UnknownEventType */
export function declaredEvent({ name: aggregateType, events }: AnyAggregate, type: string): EventSpec<unknown> {
  const spec = own(events as Record<string, EventSpec<unknown>>, type);
  if (spec !== undefined) return spec;
  throw new TrunklineError('UnknownEventType', { aggregateType, eventType: type, known: Object.keys(events) });
}

/**
 * Raised events, and their payloads: what a validator has made. It runs once, in `raise`; what it has made is not what it takes, where
 * it transforms, and a door that is given such an event, or a copy with the same payload, takes it as it is.
 */
const validated = new WeakMap<object, EventSpec<unknown>>();

/** Of an event that has been raised by its declaration. */
export function noteValidated(entity: AnyAggregate, event: { readonly type: string; readonly data: unknown }): void {
  const spec = declaredEvent(entity, event.type);
  validated.set(event, spec);
  if (typeof event.data === 'object' && event.data !== null) validated.set(event.data, spec);
}

/** @throws UnknownEventType, SchemaViolation, AsyncSchemaUnsupported */
export function newestPayload(
  entity: AnyAggregate,
  event: { readonly type: string; readonly data: unknown },
): DeclaredPayload {
  const { type, data } = event;
  const spec = declaredEvent(entity, type);
  const { schema, schemaVersion } = spec;
  const isDone = validated.get(event) === spec || validated.get(Object(data)) === spec;
  if (isDone) return { data, schemaVersion };
  return { data: schema === undefined ? data : validate(schema, data, entity.name, type), schemaVersion };
}
