// `events.lock.json`: the JSON Schema of every version of every event that was ever accepted. Its user commits it, merges it and
// may edit it, so it is read as a foreign file; it is written sorted and pretty, for diffs.

import { nameFault } from '../base/checks.ts';
import { writeFileDurably } from '../base/durable-file.ts';
import { parseJson, readText, refused } from '../base/foreign-file.ts';
import { exactly, fits, object, oneOf, optional, record, type Shape, text } from '../base/json.ts';
import { NAME_BYTES_LIMIT } from '../base/name-limits.ts';
import { onPath } from '../base/path-fault.ts';
import { sortedKeys } from './document.ts';

/** A JSON Schema, or why there is none. */
export type LockedPayload = { readonly schema: Readonly<Record<string, unknown>> } | { readonly reason: string };
/** `isRetired`: events of this version are read no more. */
export type LockedVersion = LockedPayload & { readonly isRetired: boolean };

/** What has become of an event type that is none of today's. */
export type Past = 'renamed' | 'split' | 'retired';

export interface LockedEvent {
  readonly past: Past | undefined;
  /** Today's event type, where it was renamed, or where it is one of those that it was split into. */
  readonly now: string | undefined;
  readonly versions: ReadonlyMap<number, LockedVersion>;
}

/** By aggregate, by the name that its events are stored by: it stays when the type is renamed. Then by event type. */
export type Lock = ReadonlyMap<string, ReadonlyMap<string, LockedEvent>>;

const LOCK_FORMAT = 1;
/** 5,000 event types with ten versions each have far less. */
const bytesMost = 256 << 20;
const lastVersion = 65535;

interface VersionJson {
  schema?: Record<string, unknown> | undefined;
  noSchema?: string | undefined;
  retired?: true | undefined;
}
interface EventJson {
  past?: Past | undefined;
  now?: string | undefined;
  versions: Record<string, unknown>;
}

const versionShape: Shape<VersionJson> = object<VersionJson>({
  schema: optional(record),
  noSchema: optional(text),
  retired: optional(exactly(true)),
});
const eventShape: Shape<EventJson> = object<EventJson>({
  past: optional(oneOf('renamed', 'split', 'retired')),
  now: optional(text),
  versions: record,
});
const aggregateShape: Shape<{ events: Record<string, unknown> }> = object<{ events: Record<string, unknown> }>({
  events: record,
});

/** undefined: there is none. @throws FileRefused */
export function readLock(file: string): Lock | undefined {
  const content = onPath(file, 'read', () => readText(file, bytesMost));
  if (content === undefined) return undefined;
  const marker = /^(?:<{7}|={7}|>{7})(?: |$)/m.exec(content);
  if (marker !== null) {
    const line = content.slice(0, marker.index).split('\n').length;
    throw refused(file, 'has a conflict of git: take one side, then run trunkline schemas accept', { line });
  }
  const parsed = parseJson(content);
  const fail = (reason: string): never => {
    throw refused(file, `${reason}; take it back from git, or remove it and run trunkline schemas accept`);
  };
  if (!fits(parsed, record)) return fail('is no JSON object, or is nested too deep');
  const { format, aggregates } = parsed;
  if (typeof format === 'number' && format > LOCK_FORMAT) {
    throw refused(
      file,
      `has format ${format}, and this release reads ${LOCK_FORMAT}; install the release that wrote it`,
    );
  }
  if (format !== LOCK_FORMAT) return fail(`has no format number ${LOCK_FORMAT}`);
  if (!fits(aggregates, record)) return fail('has no aggregates');
  return new Map(Object.entries(aggregates).map(([name, one]) => [name, eventsIn(name, one, fail)]));
}

function eventsIn(aggregate: string, value: unknown, fail: (reason: string) => never): Map<string, LockedEvent> {
  const fault = nameFault(aggregate, NAME_BYTES_LIMIT) ?? aggregateShape(value);
  if (!fits(value, aggregateShape) || fault !== undefined) return fail(`aggregate '${aggregate}': ${fault}`);
  return new Map(
    Object.entries(value.events).map(([type, event]) => {
      const at = `${aggregate}.${type}`;
      const wrong = nameFault(type, NAME_BYTES_LIMIT) ?? eventShape(event);
      if (!fits(event, eventShape) || wrong !== undefined) return fail(`${at}: ${wrong}`);
      const versions = Object.entries(event.versions).map(([key, version]) => {
        const number = /^[1-9]\d{0,4}$/.test(key) ? Number(key) : lastVersion + 1;
        if (number > lastVersion) return fail(`${at}: '${key}' is no version`);
        return [number, versionIn(version, (reason) => fail(`${at}, version ${key}: ${reason}`))] as const;
      });
      return [type, { past: event.past, now: event.now, versions: new Map(versions) }];
    }),
  );
}

function versionIn(value: unknown, fail: (reason: string) => never): LockedVersion {
  if (!fits(value, versionShape)) return fail(String(versionShape(value)));
  const { schema, noSchema, retired } = value;
  const isRetired = retired === true;
  if (schema !== undefined && noSchema === undefined) return { schema, isRetired };
  if (noSchema !== undefined && schema === undefined) return { reason: noSchema, isRetired };
  return fail('must have either schema or noSchema');
}

/** The file's text: the same for the same content, whatever the order in which it was found. */
export function lockText(lock: Lock): string {
  const aggregates = [...lock].map(([name, events]) => {
    const all = [...events].map(([type, event]) => [type, eventJson(event)] as const);
    return [name, { events: Object.fromEntries(all) }] as const;
  });
  return `${JSON.stringify({ format: LOCK_FORMAT, aggregates: sortedKeys(Object.fromEntries(aggregates)) }, undefined, 2)}\n`;
}

function eventJson({ past, now, versions }: LockedEvent): EventJson {
  const all = [...versions].map(([number, version]): [string, VersionJson] => {
    const payload = 'schema' in version ? { schema: version.schema } : { noSchema: version.reason };
    return [String(number), version.isRetired ? { ...payload, retired: true } : payload];
  });
  return { ...(past && { past }), ...(now !== undefined && { now }), versions: Object.fromEntries(all) };
}

/** @throws FileRefused */
export function writeLock(file: string, lock: Lock): void {
  onPath(file, 'written', () => writeFileDurably(file, lockText(lock)));
}
