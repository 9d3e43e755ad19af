// What aggregates declare of their events, as plain data that may cross threads: names, versions, and the payloads' JSON
// Schemas where a validator can tell them.

import { TrunklineError } from '../base/errors.ts';
import type { AggregateLike, AnyAggregate } from './aggregate.ts';
import { namesOf, storedTypeOf } from './aggregate-names.ts';
import type { EventDeclaration, EventVersion } from './event.ts';
import type { EventSpec } from './event-spec.ts';
import { evolutionOf } from './evolution.ts';
import { jsonSchemaOf } from './json-schema.ts';

export function declaredEvents(aggregates: readonly AnyAggregate[]): EventDeclaration[] {
  return aggregates.flatMap((aggregate) =>
    Object.entries(aggregate.events as Record<string, EventSpec<unknown>>).map(([type, spec]) => {
      const versions = versionsOf(spec);
      const { schemaVersion, jsonSchema } = versions.at(-1)!;
      const names = { aggregateNames: namesOf(aggregate), names: [type, ...spec.past.names] };
      const { module } = aggregate;
      const declaration = { aggregateType: storedTypeOf(aggregate), type, schemaVersion, ...names, versions, module };
      return jsonSchema === undefined ? declaration : { ...declaration, jsonSchema };
    }),
  );
}

function versionsOf({ past: { steps, lowest } }: EventSpec<unknown>): EventVersion[] {
  const read = steps.filter(({ schemaVersion }) => schemaVersion >= lowest);
  return read.map(({ schemaVersion, schema, down }) => {
    const payload = jsonSchemaOf(schema, ['draft-07']); // the dialect that schema registries take
    const version = { schemaVersion, hasDown: down !== undefined };
    return 'schema' in payload ? { ...version, jsonSchema: payload.schema } : version;
  });
}

/**
 * Refuse a definition that the runtime was not given: nothing of it would ever come, in silence. (A name may be an entity's, or
 * one of the past, which is declared nowhere.)
 * @throws UnknownAggregateType
 */
export function checkRegistered(
  aggregates: readonly (AggregateLike | string)[] | undefined,
  definitions: ReadonlyMap<string, AnyAggregate>,
): void {
  for (const one of aggregates ?? []) {
    if (typeof one === 'string' || definitions.has(one.name)) continue;
    const known = [...definitions.keys()];
    const message =
      `aggregate '${one.name}' is none of this runtime's; put it into createRuntime's aggregates ` +
      `(known: ${known.join(', ')}), or give its name as text if its events come from elsewhere`;
    throw new TrunklineError('UnknownAggregateType', { aggregateType: one.name, known }, { message });
  }
}

/**
 * Refuse names of events that none of these aggregates declares: a misspelt one would never come, in silence. Where one of the
 * aggregates is not known here (an entity's, or one of the past), anything may be right. `'*'` is no name.
 * @throws UnknownEventType
 */
export function checkEventNames(
  types: Iterable<string> | undefined,
  aggregates: readonly (AggregateLike | string)[] | undefined,
  definitions: ReadonlyMap<string, AnyAggregate>,
): void {
  if (types === undefined || aggregates === undefined || aggregates.length === 0) return;
  const found = aggregates.map((one) => (typeof one === 'string' ? definitions.get(one) : one));
  if (found.includes(undefined)) return;
  const known = found.flatMap((one) => Object.keys((one as AnyAggregate).events));
  const isOlderName = (type: string): boolean =>
    found.some((one) => evolutionOf(one as AnyAggregate).names.get(type)?.kind === 'event');
  for (const eventType of types) {
    if (eventType === '*' || known.includes(eventType) || isOlderName(eventType)) continue;
    const aggregateType = found.map((one) => (one as AnyAggregate).name).join(', ');
    throw new TrunklineError('UnknownEventType', { aggregateType, eventType: String(eventType), known });
  }
}
