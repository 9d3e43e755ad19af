// The aggregate types that this data directory was ever served with. A start that lacks one of them says so: its aggregates stay
// where they are, and a type that was renamed without `renamedFrom` would begin with no history, in silence.
//
// What entities are called is declared nowhere, so the store itself cannot tell which types a runtime ought to serve.

import { join } from 'node:path';
import { writeFileDurably } from '../base/durable-file.ts';
import { parseFields, readText } from '../base/foreign-file.ts';
import type { Logger } from '../base/logger.ts';
import { AGGREGATE_TYPE_BYTES_LIMIT, AGGREGATE_TYPES_LIMIT } from '../base/name-limits.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { storedTypeOf } from '../model/aggregate-names.ts';

const FILE = 'aggregates.json';
const FORMAT = 1;
const bytesLimit = AGGREGATE_TYPES_LIMIT * (AGGREGATE_TYPE_BYTES_LIMIT + 8);
const message =
  'aggregates of these types have been written here, and this runtime has no such type: their events stay, and no command ' +
  'reaches them; if a type has a new name now, give the old one as its renamedFrom';

/** Note the types of this start beside those of earlier ones, of which it warns where they are not served any more. */
export function noteServedTypes(dataDir: string, aggregates: readonly AnyAggregate[], logger: Logger): void {
  const file = join(dataDir, FILE);
  const served = new Set(aggregates.map(storedTypeOf));
  const before = typesIn(file);
  const left = before.filter((type) => !served.has(type));
  if (left.length > 0) logger.warn({ aggregateTypes: left }, message);
  const all = [...new Set([...before, ...served])].sort().slice(0, AGGREGATE_TYPES_LIMIT);
  if (all.length === before.length) return;
  try {
    writeFileDurably(file, `${JSON.stringify({ format: FORMAT, types: all })}\n`);
  } catch (error) {
    logger.warn({ err: error }, 'the names of aggregate types cannot be noted; the next start tries again');
  }
}

/** It is a note: one that cannot be understood is written again. */
function typesIn(file: string): string[] {
  try {
    const { format, types } = parseFields(readText(file, bytesLimit) ?? '{}');
    if (format !== FORMAT || !Array.isArray(types)) return [];
    return types.filter((type): type is string => typeof type === 'string');
  } catch {
    return [];
  }
}
