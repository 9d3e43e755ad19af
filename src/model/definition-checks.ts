// What a definition may say of itself and of its past. `fail` throws InvalidDefinition.

import { nameFault } from '../base/checks.ts';
import { unknownField } from '../base/known-fields.ts';
import { AGGREGATE_TYPE_BYTES_LIMIT, NAME_BYTES_LIMIT } from '../base/name-limits.ts';
import { tame } from '../base/tame.ts';
import { isUuid } from '../wire/ids.ts';
import type { EventSpec } from './event-spec.ts';

/** One stored event, as errors name it. It is passed over where all three fit. */
export interface SkippedEvent {
  /** Of the aggregate. */
  id: string;
  version: number;
  /** The event's own: after a restore, or elsewhere, another event may have this version of an aggregate of that id, and counts. */
  eventId: string;
}

type Events = Record<string, EventSpec<any, any>>;
type Fail = (reason: string) => never;

interface Past {
  readonly events: Events;
  readonly retired: readonly string[];
  readonly renamedFrom: readonly string[];
  readonly skipped: readonly SkippedEvent[];
}

export function checkPast({ events, retired, renamedFrom, skipped }: Past, fail: Fail): void {
  checkFormerNames(renamedFrom, fail);
  checkEventNames(events, retired, fail);
  checkSkipped(skipped, fail);
}

export function checkCommands(
  commands: Readonly<Record<string, unknown>>,
  reserved: readonly string[],
  fail: Fail,
): void {
  for (const command of Object.keys(commands)) {
    checkName('command', command, NAME_BYTES_LIMIT, fail);
    // An object literal with that name sets a prototype, and a ref could not have it as a method.
    if (command === '__proto__' || reserved.includes(command)) fail(`'${command}' is reserved`);
    if (typeof commands[command] !== 'function') fail(`command '${command}' is not a function`);
  }
}

const SKIPPED_MOST = 10_000; // of each aggregate type; each reading of an event looks them up

function checkSkipped(skipped: readonly SkippedEvent[], fail: Fail): void {
  if (!Array.isArray(skipped) || skipped.length > SKIPPED_MOST)
    fail(`skipped must be a list of at most ${SKIPPED_MOST}`);
  for (const one of skipped) {
    const { id, version, eventId } = (one ?? {}) as Partial<SkippedEvent>;
    const isPlace = typeof id === 'string' && id !== '' && Number.isSafeInteger(version) && version! > 0;
    if (isPlace && typeof eventId === 'string' && isUuid(eventId)) continue;
    fail('skipped must be a list of { id, version, eventId }: the aggregate, the version of the event, and its own id');
  }
}

/** As it is now, and ids as they are read. */
export const takenSkipped = (skipped: readonly SkippedEvent[]): SkippedEvent[] =>
  skipped.map(({ id, version, eventId }) => ({ id, version, eventId: eventId.toLowerCase() }));

function checkFormerNames(former: readonly string[], fail: Fail): void {
  if (!Array.isArray(former))
    fail('renamedFrom must be a list of the names that the type had before, the oldest first');
  const names = new Set<string>();
  for (const one of former) {
    checkName('former aggregate type', one, AGGREGATE_TYPE_BYTES_LIMIT, fail);
    if (names.has(one)) fail(`renamedFrom names '${tame(one, 40)}' twice`);
    names.add(one);
  }
}

/** Each name that events were ever stored by means one thing. */
function checkEventNames(events: Events, retired: readonly string[], fail: Fail): void {
  if (!Array.isArray(retired)) fail('retired must be a list of event types');
  const meaning = new Map(Object.keys(events).map((type) => [type, `event '${type}'`]));
  const claim = (name: string, by: string): void => {
    const other = meaning.get(name);
    if (other !== undefined) fail(`'${tame(name, 80)}' is claimed twice: by ${other} and by ${by}`);
    meaning.set(name, by);
  };
  for (const type of retired) {
    checkName('retired event type', type, NAME_BYTES_LIMIT, fail);
    claim(type, 'retired');
  }
  for (const [type, { past }] of Object.entries(events)) {
    for (const name of past.names) claim(name, `renamedFrom() of '${type}'`);
    for (const source of past.splits) claim(source.type, `splitFrom() of '${type}'`);
  }
}

export function checkShape(prefix: string, given: object, known: readonly string[], fail: Fail): void {
  const what = prefix.slice(0, -1) || 'the definition';
  if (!isReadable(given)) fail(`${what} must be an object`);
  const unknown = unknownField(given, known);
  if (unknown) fail(`${prefix}${unknown.field} ${unknown.reason}`);
}

/** An object whose members can be looked at. */
export function isReadable(given: unknown): boolean {
  try {
    return (
      typeof given === 'object' && given !== null && Object.values(given) !== undefined && !(given instanceof Date)
    );
  } catch {
    return false;
  }
}

export function checkName(what: string, name: string, limit: number, fail: Fail): void {
  const fault = name === '*' ? "may not be '*', which stands for any" : nameFault(name, limit);
  if (fault !== undefined) fail(`${what} '${tame(name, 40)}' ${fault}`);
}
