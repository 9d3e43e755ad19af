// The limits of events (wire/limits.ts) once more, for rows of the outbox: their gate is in the database, and an earlier release, or an
// owner without it, can have put anything there.
import { DEPTH_LIMIT, depthOf } from '../base/json-depth.ts';
import { isLongJson } from '../base/json-size.ts';
import { AGGREGATE_ID_BYTES_LIMIT, AGGREGATE_TYPE_BYTES_LIMIT, NAME_BYTES_LIMIT } from '../base/name-limits.ts';
import { EARLIEST_MS, SAVED_DATA_BYTES_LIMIT, SAVED_METADATA_BYTES_LIMIT, VERSION_LIMIT } from '../wire/limits.ts';
import type { ClaimedEvent } from './outbox.ts';

const LATEST_MS = 8.64e15;
const SCHEMA_VERSION_LIMIT = 65_535;

/**
 * Why such an event cannot go on from here; undefined if it can. Looks at the texts alone: what is nested too deep, or
 * is too large, must not be parsed before that is known.
 */
export function misfitOf(event: Omit<ClaimedEvent, 'batch' | 'sequence' | 'id'>): string | undefined {
  const { aggregateType, aggregateId, version, type, schemaVersion, occurredAt, data, metadata } = event;
  const isLong = (text: string, limit: number): boolean => text === '' || Buffer.byteLength(text) > limit;
  if (isLong(aggregateType, AGGREGATE_TYPE_BYTES_LIMIT)) return 'its aggregate type is empty, or too long';
  if (isLong(aggregateId, AGGREGATE_ID_BYTES_LIMIT)) return 'its aggregate id is empty, or too long';
  if (isLong(type, NAME_BYTES_LIMIT)) return 'its event type is empty, or too long';
  if (!isWithin(version, 1, VERSION_LIMIT)) return `its version is ${version}`;
  if (!isWithin(schemaVersion, 1, SCHEMA_VERSION_LIMIT)) return `its schema version is ${schemaVersion}`;
  if (!isWithin(occurredAt, EARLIEST_MS, LATEST_MS)) return 'its time is beyond those of JavaScript';
  if (isLongJson(data, SAVED_DATA_BYTES_LIMIT)) return `its data is larger than ${SAVED_DATA_BYTES_LIMIT} bytes`;
  if (isLongJson(metadata ?? '', SAVED_METADATA_BYTES_LIMIT)) {
    return `its metadata is larger than ${SAVED_METADATA_BYTES_LIMIT} bytes`;
  }
  if (depthOf(data) > DEPTH_LIMIT + 1) return `its data is nested deeper than ${DEPTH_LIMIT}`;
  if (metadata !== null && metadata[0] !== '{') return 'its metadata is no object';
  if (depthOf(metadata ?? '') > DEPTH_LIMIT + 1) return `its metadata is nested deeper than ${DEPTH_LIMIT}`;
  return undefined;
}

const isWithin = (number: number, least: number, most: number): boolean => number >= least && number <= most;
