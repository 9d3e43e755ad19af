// What aggregates declare of their events, as plain data that may cross threads: names, versions, and the payloads' JSON
// Schemas where a validator can tell them (https://standardschema.dev/json-schema).
import type { AnyAggregate } from './aggregate.ts';
import type { EventDeclaration, EventSpec } from './event.ts';

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
