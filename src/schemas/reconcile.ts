// The lock file against the code: what of it has changed or is gone, what is new, and the lock file as it should be.

import type { PayloadSchema } from '../model/json-schema.ts';
import type { DescribedAggregate, DescribedEvent, DescribedVersion } from './describe.ts';
import { canonical } from './document.ts';
import type { Finding } from './finding.ts';
import type { Lock, LockedEvent, LockedPayload, LockedVersion, Past } from './lock-file.ts';
import { breaksBetween } from './subset.ts';
import { everyName, takenOver } from './taken-over.ts';

export interface Reconciled {
  /** What was published and is not so any more. */
  readonly broken: readonly Finding[];
  /** The same, of what `forced` names: it is taken. */
  readonly taken: readonly Finding[];
  /** What the lock file does not have yet. */
  readonly added: readonly Finding[];
  /** With all that is added, and with what is broken as it was, but where that was named in `forced`. */
  readonly lock: Lock;
}

/** How a name in the lock file is read by the code. */
interface Meaning {
  readonly past: Past | undefined;
  readonly now: string | undefined;
  /** undefined: each version, whatever it is. */
  readonly versions: readonly DescribedVersion[] | undefined;
  readonly lowest: number;
}

type Tell = (finding: Omit<Finding, 'aggregate' | 'event'>) => void;

/**
 * `forced`: aggregates, and event types as `aggregate.Event`, whose published schemas may change or go; by any name that the
 * aggregate type has had.
 */
export function reconcile(
  described: readonly DescribedAggregate[],
  lock: Lock,
  forced: ReadonlySet<string>,
): Reconciled {
  const broken: Finding[] = [];
  const taken: Finding[] = [];
  const added: Finding[] = [];
  const renamed = new Set<string>();
  const next = new Map<string, ReadonlyMap<string, LockedEvent>>();
  for (const aggregate of described) {
    const { events: before, from, twice } = takenOver(aggregate, lock);
    const isForcedIn = (event: string): boolean =>
      everyName(aggregate).some((name) => forced.has(`${name}.${event}`) || forced.has(name));
    for (const name of from) {
      renamed.add(name);
      const reason = `is renamed now: what stands under '${name}' goes to '${aggregate.storedName}', the name that is stored`;
      added.push({ rule: 'not accepted', aggregate: aggregate.name, reason });
    }
    for (const { event, version, name } of twice) {
      const reason = `was accepted with another schema under '${name}'`;
      (isForcedIn(event) ? taken : broken).push({ rule: 'changed', aggregate: aggregate.name, event, version, reason });
    }
    const events = new Map<string, LockedEvent>();
    const meanings = meaningsOf(aggregate);
    for (const name of new Set([...before.keys(), ...meanings.keys()])) {
      const at = { aggregate: aggregate.name, event: name };
      const isForced = isForcedIn(name);
      const event = eventOf(before.get(name), meanings.get(name), isForced, {
        broken: (finding) => (isForced ? taken : broken).push({ ...at, ...finding }),
        added: (finding) => added.push({ ...at, ...finding }),
      });
      if (event !== undefined) events.set(name, event);
    }
    next.set(aggregate.storedName, events);
  }
  for (const [name, events] of lock) {
    if (next.has(name) || renamed.has(name)) continue;
    const isForced = forced.has(name);
    const finding: Finding = { rule: 'gone', aggregate: name, reason: 'the aggregate is gone from the code' };
    (isForced ? taken : broken).push(finding);
    if (!isForced) next.set(name, events);
  }
  return { broken, taken, added, lock: next };
}

/** Former names, and what was split or retired, that the lock file does not know need not stand in it: nothing is known of them. */
function meaningsOf({ events, retired }: DescribedAggregate): Map<string, Meaning> {
  const found = new Map<string, Meaning>();
  for (const name of retired) found.set(name, { past: 'retired', now: undefined, versions: undefined, lowest: 1 });
  for (const event of events) {
    const { type, versions, lowest, formerNames, splits } = event;
    found.set(type, { past: undefined, now: undefined, versions, lowest });
    for (const name of formerNames) found.set(name, { past: 'renamed', now: type, versions, lowest });
    for (const split of splits) found.set(split.type, splitMeaning(event, split));
  }
  return found;
}

function splitMeaning({ type }: DescribedEvent, { versions, lowest }: DescribedEvent['splits'][number]): Meaning {
  return { past: 'split', now: type, versions: versions.length === 0 ? undefined : versions, lowest };
}

interface Tells {
  /** Also of what is forced. */
  readonly broken: Tell;
  readonly added: Tell;
}

function eventOf(
  before: LockedEvent | undefined,
  meaning: Meaning | undefined,
  isForced: boolean,
  tells: Tells,
): LockedEvent | undefined {
  if (meaning === undefined) {
    const reason =
      'the event type is gone from the code, and stored events of it cannot be read: give its name to renamedFrom() or ' +
      'splitFrom() of what it is now, or to `retired`';
    tells.broken({ rule: 'gone', reason });
    return isForced ? undefined : before;
  }
  const { past, now } = meaning;
  const versions = new Map<number, LockedVersion>();
  for (const [number, version] of before?.versions ?? []) {
    const kept = versionOf(number, version, meaning, isForced, tells);
    if (kept !== undefined) versions.set(number, kept);
  }
  const isOfToday = past === undefined;
  for (const { schemaVersion, payload } of isOfToday || (past === 'split' && before === undefined)
    ? (meaning.versions! ?? [])
    : []) {
    if (versions.has(schemaVersion) || schemaVersion < meaning.lowest) continue;
    versions.set(schemaVersion, { ...payloadOf(payload), isRetired: false });
    if (before?.versions.has(schemaVersion) !== true)
      tells.added({ rule: 'not accepted', version: schemaVersion, reason: 'is new' });
  }
  if (before !== undefined && (before.past !== past || before.now !== now)) {
    const reason = isOfToday
      ? 'is an event type of today again'
      : `is ${past}${now === undefined ? '' : `: ${now}`} now`;
    tells.added({ rule: 'not accepted', reason });
  }
  return versions.size === 0 && !isOfToday ? undefined : { past, now, versions };
}

/** undefined: it is gone, as it was asked for, or taken from the code below. */
function versionOf(
  number: number,
  before: LockedVersion,
  { versions, lowest, past }: Meaning,
  isForced: boolean,
  { broken, added }: Tells,
): LockedVersion | undefined {
  if (versions === undefined) return before;
  const found = versions.find(({ schemaVersion }) => schemaVersion === number);
  const newest = versions.at(-1)!.schemaVersion;
  if (found === undefined) {
    if (before.isRetired) return before;
    const reason =
      number > newest
        ? `is gone from the code, whose newest version is ${newest}: stored events of it cannot be read`
        : `is gone from the code, and stored events of it cannot be read: give it to versions().next(), or end it by retired(${number}) in a release before`;
    broken({ rule: 'gone', version: number, reason });
    return isForced ? undefined : before;
  }
  if (number < lowest) {
    if (!before.isRetired) added({ rule: 'not accepted', version: number, reason: 'is retired now' });
    return { ...before, isRetired: true };
  }
  if (before.isRetired) added({ rule: 'not accepted', version: number, reason: 'is read again' });
  const change = changeOf(before, found.payload, past === undefined && number === newest);
  if (change.kind === 'broken') {
    for (const one of change.findings) broken({ rule: 'changed', version: number, ...one });
    if (!isForced) return { ...before, isRetired: false };
  }
  if (change.kind === 'added') added({ rule: 'not accepted', version: number, reason: change.reason });
  const payload = change.kind === 'kept' ? payloadIn(before) : payloadOf(found.payload);
  return { ...payload, isRetired: false };
}

type Change =
  | { readonly kind: 'broken'; readonly findings: readonly { readonly path?: string; readonly reason: string }[] }
  | { readonly kind: 'added'; readonly reason: string }
  /** Says the same, in the words of the code. */
  | { readonly kind: 'same' }
  /** The code says less of it than the lock file. */
  | { readonly kind: 'kept' };

/** At most so many places of one version. */
const placesMost = 5;

function changeOf(before: LockedPayload, now: PayloadSchema, isNewest: boolean): Change {
  if (!('schema' in before)) {
    return 'schema' in now ? { kind: 'added', reason: 'has a JSON Schema now' } : { kind: 'same' };
  }
  // The validators of older versions check nothing any more, so they may go.
  if (!('schema' in now)) {
    const reason = `has no JSON Schema any more: ${now.reason}`;
    return isNewest ? { kind: 'broken', findings: [{ reason }] } : { kind: 'kept' };
  }
  if (canonical(before.schema) === canonical(now.schema)) return { kind: 'same' };
  const refused = breaksBetween(before.schema, now.schema);
  const taken = refused.length > 0 ? [] : breaksBetween(now.schema, before.schema);
  if (refused.length + taken.length === 0) return { kind: 'same' };
  const findings = [
    ...refused.map(({ path, reason }) => ({ path, reason: `has changed since it was published: ${reason}` })),
    ...taken.map(({ path }) => ({ path, reason: 'has changed since it was published: it takes more than it did' })),
  ];
  const shortest = [...findings].sort((a, b) => a.path.length - b.path.length);
  const distinct = [...new Map(shortest.map((one) => [`${one.path} ${one.reason}`, one])).values()];
  return { kind: 'broken', findings: distinct.slice(0, placesMost) };
}

const payloadOf = (payload: PayloadSchema): LockedPayload =>
  'schema' in payload ? { schema: payload.schema } : { reason: payload.reason };

const payloadIn = (version: LockedVersion): LockedPayload =>
  'schema' in version ? { schema: version.schema } : { reason: version.reason };
