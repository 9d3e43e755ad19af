// The JSON Schema of a payload as readers see it, where its validator can tell one (https://standardschema.dev/json-schema).

import type { StandardSchemaV1 as Schema } from '@standard-schema/spec';
import { checkedJson, record } from '../base/json.ts';
import { tame } from '../base/tame.ts';

/** Dialects by the names that Standard JSON Schema has for them. */
export type Dialect = 'draft-2020-12' | 'draft-07';

/** A JSON Schema, or why there is none. */
export type PayloadSchema =
  | { readonly dialect: Dialect; readonly schema: Readonly<Record<string, unknown>> }
  | { readonly reason: string };

interface JsonSchemaSource {
  output(options: { target: Dialect }): unknown;
}

/** In the first of these dialects in which the validator has one; as JSON carries it. */
export function jsonSchemaOf(validator: Schema | undefined, dialects: readonly Dialect[]): PayloadSchema {
  if (validator === undefined) return { reason: 'it is declared without a validator' };
  const { vendor, jsonSchema } = validator['~standard'] as { vendor?: unknown; jsonSchema?: JsonSchemaSource };
  const name = tame(vendor, 80);
  if (typeof jsonSchema?.output !== 'function') return { reason: `its validator (${name}) gives no JSON Schema` };
  let refusal: unknown;
  for (const dialect of dialects) {
    try {
      const made = JSON.stringify(jsonSchema.output({ target: dialect })) ?? 'null';
      return { dialect, schema: checkedJson(made, record, 'its JSON Schema') };
    } catch (error) {
      refusal ??= error; // it says itself that JSON Schema cannot express it, or not in this dialect
    }
  }
  return { reason: `its validator (${name}) cannot tell a JSON Schema: ${tame(refusal)}` };
}
