// The limits of an event: one list for every door, so that whatever the log has, every sink can take. The doors are commands
// (their metadata; payloads go through payload.ts), entities, `publisher`, `store.save`, `saveWithTx`, the test kit, and in
// SQL `raise_event`, which holds the same limits by `check_event` (migrations/). Any thread.
//
// | what | limit | because |
// |---|---|---|
// | ids, types, keys | bytes of UTF-8 (frame.ts), no U+0000, no lone surrogate (checks.ts) | length fields; indexes of every store |
// | nesting of JSON | `DEPTH_LIMIT` (json-depth.ts) | the stack of whoever reads or prints it |
// | metadata | an object, `METADATA_BYTES_LIMIT` | it goes along with every event of a command |
// | metadata fields that we name | text or null | sinks make headers and columns of them |
// | `occurredAt` | from the year 4712 B. C. on | PostgreSQL's timestamptz |
// | `version` | 1 to 2^31 - 1 | PostgreSQL's integer |
// | data, metadata of an event that comes by a transaction | `RELAYED_…_BYTES_LIMIT` | any relay can take it, whatever ring it has |
import { checkDate, checkInteger, invalid } from './checks.ts';
import { TrunklineError } from './errors.ts';
import type { Metadata } from './event.ts';
import { DEPTH_LIMIT, depthOf } from './json-depth.ts';
import { plainToJson, toPlain } from './payload.ts';

const METADATA_BYTES_LIMIT: number = 1 << 18;
export const RELAYED_DATA_BYTES_LIMIT: number = 1 << 20;
export const RELAYED_METADATA_BYTES_LIMIT: number = 1 << 16;
const VERSION_LIMIT: number = 2 ** 31 - 1;
export const EARLIEST_MS: number = Date.UTC(-4711, 0, 1);

/** Fields of metadata that have a meaning throughout: text, where they are given. */
export const metadataTexts: ReadonlySet<string> = new Set([
  'correlationId',
  'causationId',
  'commandId',
  'tenantId',
  'traceparent',
  'source',
]);

/** The role that raised an event by `raise_event`: the server's word, which no client of ours may write. */
const databaseRole = 'databaseRole';

/** JSON of metadata; '' where there is none. @throws InvalidOptions, UnserialisableValue, CommandTooLarge */
export function metadataToJson(metadata: unknown, option = 'metadata'): string {
  return plainMetadataToJson(toPlainMetadata(metadata, option), option);
}

/** A plain copy of metadata, its kinds checked. @throws InvalidOptions, UnserialisableValue */
export function toPlainMetadata(metadata: unknown, option = 'metadata'): Metadata {
  checkMetadata(metadata, option);
  const plain = toPlain(metadata, option) as Record<string, unknown>;
  if (Object.hasOwn(plain, databaseRole)) {
    invalid(`${option}.${databaseRole}`, plain[databaseRole], 'is written by raise_event in the database alone');
  }
  for (const key of Object.keys(plain)) if (metadataTexts.has(key)) checkText(plain[key], `${option}.${key}`);
  return plain as Metadata;
}

/** @throws UnserialisableValue, CommandTooLarge */
export function plainMetadataToJson(plain: Metadata, option = 'metadata'): string {
  const json = plainToJson(plain, option);
  if (json === '{}') return '';
  checkBytes(json, METADATA_BYTES_LIMIT);
  return json;
}

/** Metadata is an object of JSON values; what its values are, {@link toPlainMetadata} looks at. */
export function checkMetadata(metadata: unknown, option = 'metadata'): void {
  const isObject = typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata);
  if (!isObject || typeof (metadata as { toJSON?: unknown }).toJSON === 'function') {
    invalid(option, metadata, 'must be an object');
  }
}

function checkText(value: unknown, option: string): void {
  if (value !== null && typeof value !== 'string') invalid(option, value, 'must be text');
}

/** @throws CommandTooLarge */
export function checkBytes(json: string, limit: number): void {
  if (json.length * 3 <= limit) return;
  const bytes = Buffer.byteLength(json);
  if (bytes > limit) throw new TrunklineError('CommandTooLarge', { bytes, limit });
}

export function checkOccurredAt(option: string, occurredAt: Date): void {
  checkDate(option, occurredAt);
  if (occurredAt.getTime() < EARLIEST_MS) invalid(option, occurredAt, 'lies before the year 4712 B. C.');
}

export function checkVersion(option: string, version: number): void {
  checkInteger(option, version, 1, VERSION_LIMIT);
}

/**
 * Why JSON that came by another door than ours (a row of the outbox) cannot go on from here; undefined if it can. Looks at
 * the text alone: what is nested too deep must not be parsed before that is known.
 */
export function misfitOf(dataJson: string, metadataJson: string): string | undefined {
  if (depthOf(dataJson) > DEPTH_LIMIT + 1) return `its data is nested deeper than ${DEPTH_LIMIT}`;
  if (depthOf(metadataJson) > DEPTH_LIMIT + 1) return `its metadata is nested deeper than ${DEPTH_LIMIT}`;
  return undefined;
}
