// The limits of an event: one list for every door, so that whatever the log has, every sink can take. The doors are commands
// (their metadata; payloads go through payload.ts), entities, `publisher`, `store.save`, `saveWithTx`, the test kit, and in
// SQL the rows of `domain_events`, by whichever role: `event_fault` (migrations/) holds the same limits. Any thread.
//
// | what | limit | because |
// |---|---|---|
// | ids, types, keys | bytes of UTF-8 (frame.ts), no U+0000, no lone surrogate (checks.ts) | length fields; indexes of every store |
// | nesting of JSON | `DEPTH_LIMIT` (json-depth.ts) | the stack of a program that reads or prints it |
// | metadata | an object, `METADATA_BYTES_LIMIT` (metadata.ts) | it goes along with every event of a command |
// | metadata fields that we name | text or null | sinks make headers and columns of them |
// | `occurredAt` | from the year 4712 B. C. on | a database's time stamp |
// | `version` | 1 to 2^31 - 1 | a database's integer of 32 bits |
// | data, metadata of an event that comes by a transaction | `RELAYED_…_BYTES_LIMIT` | any relay can take it, whatever ring it has |
// | the same in the database's text | `SAVED_…_BYTES_LIMIT` | twice that, for its blanks and digits; a value of JavaScript may take a hundred times as much memory |
import { checkDate, checkInteger, invalid } from '../base/checks.ts';
import { TrunklineError } from '../base/errors.ts';

export const RELAYED_DATA_BYTES_LIMIT: number = 1 << 20;
export const RELAYED_METADATA_BYTES_LIMIT: number = 1 << 16;
export const SAVED_DATA_BYTES_LIMIT: number = 2 * RELAYED_DATA_BYTES_LIMIT;
export const SAVED_METADATA_BYTES_LIMIT: number = 2 * RELAYED_METADATA_BYTES_LIMIT;
export const VERSION_LIMIT: number = 2 ** 31 - 1;
export const EARLIEST_MS: number = Date.UTC(-4711, 0, 1);

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
