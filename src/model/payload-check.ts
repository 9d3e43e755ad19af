// Whether a payload as readers see it is one that its validator takes. A validator that transforms (text to a date, to a
// number) cannot tell: what it has made is not what it takes.

import { isDeepStrictEqual } from 'node:util';
import type { StandardSchemaV1 as Schema } from '@standard-schema/spec';
import { isThenable } from '../base/thenable.ts';

type JsonSchemas = { [K in 'input' | 'output']: (options: { target: string }) => Record<string, unknown> };

const telling = new WeakMap<Schema, boolean>();

/** Undefined: it is taken, or the validator cannot tell. Else what is wrong. */
export function accepts(schema: Schema, payload: unknown): string | undefined {
  let canTell = telling.get(schema);
  if (canTell === undefined) {
    canTell = changesNothing(schema);
    telling.set(schema, canTell);
  }
  if (!canTell) return undefined;
  const result = schema['~standard'].validate(payload);
  if (isThenable(result)) {
    Promise.resolve(result).catch(() => {}); // its outcome is of no use here, and must not become an unhandled rejection
    return undefined;
  }
  return result.issues?.map(({ message, path = [] }) => `${nameOf(path)}${message}`).join('; ');
}

/** What it makes, it takes: both have one JSON Schema, but for what it fills in and what it leaves out. */
function changesNothing(schema: Schema): boolean {
  const { jsonSchema } = schema['~standard'] as { jsonSchema?: JsonSchemas };
  try {
    const target = { target: 'draft-07' };
    return (
      jsonSchema !== undefined && isDeepStrictEqual(core(jsonSchema.input(target)), core(jsonSchema.output(target)))
    );
  } catch {
    return false; // it says itself that JSON Schema cannot express it
  }
}

/** Without `required`, which defaults change, and `additionalProperties`, which a validator that strips them closes. */
function core(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(core);
  if (typeof schema !== 'object' || schema === null) return schema;
  const { required, additionalProperties, ...rest } = schema as Record<string, unknown>;
  return Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, core(value)]));
}

function nameOf(path: readonly (PropertyKey | { readonly key: PropertyKey })[]): string {
  return path.length === 0
    ? ''
    : `${path.map((step) => String(typeof step === 'object' ? step.key : step)).join('.')}: `;
}
