// Metadata: what goes along with a command and its events beside the payload. Any thread.
import { invalid } from '../base/checks.ts';
import { checkedJson, record, type Shape } from '../base/json.ts';
import { checkBytes } from './limits.ts';
import { plainToJson, toPlain } from './payload.ts';

/**
 * What metadata may hold; the named fields have a meaning throughout, the rest is the user's own. JSON values. `databaseRole` and
 * `databaseLogin` are written by `raise_event` in the database alone: doors of the runtime leave them out.
 */
export interface Metadata {
  readonly correlationId?: string | undefined;
  readonly causationId?: string | undefined;
  readonly commandId?: string | undefined;
  readonly tenantId?: string | undefined;
  readonly traceparent?: string | undefined;
  readonly source?: string | undefined;
  readonly [key: string]: unknown;
}

const METADATA_BYTES_LIMIT: number = 1 << 18;

/** Fields of metadata that have a meaning throughout: text, where they are given. */
export const metadataTexts: ReadonlySet<string> = new Set([
  'correlationId',
  'causationId',
  'commandId',
  'tenantId',
  'traceparent',
  'source',
]);

/**
 * What `raise_event` writes of who has raised an event: the role, and the one whose session ran that, where it is another. The server's
 * word counts for that event alone: what comes in by a door of ours has neither, also where a handler passes an event's metadata on.
 */
const namesOfRoles = ['databaseRole', 'databaseLogin'];

/** JSON of metadata; '' where there is none. @throws InvalidOptions, UnserialisableValue, CommandTooLarge */
export function metadataToJson(metadata: unknown, option = 'metadata'): string {
  return plainMetadataToJson(toPlainMetadata(metadata, option), option);
}

/** A plain copy of metadata, its kinds checked, without names of database roles. @throws InvalidOptions, UnserialisableValue */
export function toPlainMetadata(metadata: unknown, option = 'metadata'): Metadata {
  checkMetadata(metadata, option);
  const plain = toPlain(metadata, option) as Record<string, unknown>;
  for (const key of namesOfRoles) if (Object.hasOwn(plain, key)) delete plain[key];
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

const metadata: Shape<Metadata> = (value) => record(value);

/** Metadata of a frame; none where the text is empty. @throws RecordInvalid */
export const metadataIn = (json: string): Metadata => (json === '' ? {} : checkedJson(json, metadata, 'metadata'));

function checkText(value: unknown, option: string): void {
  if (value !== null && typeof value !== 'string') invalid(option, value, 'must be text');
}
