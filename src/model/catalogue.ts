// What aggregates declare of their events, as plain data that may cross threads: names, versions, and the payloads' JSON
// Schemas where a validator can tell them (https://standardschema.dev/json-schema).

import { TrunklineError } from '../base/errors.ts';
import type { AggregateLike, AnyAggregate } from './aggregate.ts';
import type { EventDeclaration } from './event.ts';
import type { EventSpec } from './event-spec.ts';
import { evolutionOf } from './evolution.ts';

interface JsonSchemaSource {
  output(options: { target: string }): Record<string, unknown>;
}

export function declaredEvents(aggregates: readonly AnyAggregate[]): EventDeclaration[] {
  return aggregates.flatMap(({ name, events }) =>
    Object.entries(events as Record<string, EventSpec<unknown>>).map(([type, spec]) => {
      const jsonSchema = jsonSchemaOf(spec);
      const declaration = { aggregateType: name, type, schemaVersion: spec.schemaVersion };
      return jsonSchema ? { ...declaration, jsonSchema } : declaration;
    }),
  );
}

/** Undefined where the validator has none, or cannot express what it checks. */
function jsonSchemaOf({ schema }: EventSpec<unknown>): Record<string, unknown> | undefined {
  const source = (schema?.['~standard'] as { jsonSchema?: JsonSchemaSource } | undefined)?.jsonSchema;
  try {
    return source?.output({ target: 'draft-07' });
  } catch {
    return undefined;
  }
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
