// Payloads against their Standard Schema, synchronously.

import type { StandardSchemaV1 as Schema } from '@standard-schema/spec';
import { TrunklineError } from '../base/errors.ts';
import { isThenable } from '../base/thenable.ts';

/** The validator's output, or `SchemaViolation` with every issue it named. */
export function validate(schema: Schema, data: unknown, aggregateType: string, eventType: string): unknown {
  const result = schema['~standard'].validate(data);
  if (isThenable(result)) {
    Promise.resolve(result).catch(() => {}); // its outcome is of no use here, and must not become an unhandled rejection
    throw new TrunklineError('AsyncSchemaUnsupported', { aggregateType, eventType });
  }
  if (!result.issues) return result.value;
  const issues = result.issues.map(({ message, path }) => ({
    message,
    path: (path ?? []).map((step) => String(typeof step === 'object' ? step.key : step)).join('.'),
  }));
  throw new TrunklineError('SchemaViolation', { aggregateType, eventType, issues });
}
