// A subscription, projection or reader that is gone permanently: all that is kept of it goes. Until then it holds the months of
// the store behind its position, since it may come back. Owned by the host thread, or by a command that owns the directory.
//
// Invariants: nothing goes while the handler runs, or while it has dead letters, which are work left to do. What is
// kept of a projection goes behind its rows, marked first as rows of an unfinished build of version 0, which no definition has:
// after a crash in between, a projection of that name builds its rows again. A table of the user's stays, with its rows.

import { invalid, nameFault } from '../base/checks.ts';
import { TrunklineError } from '../base/errors.ts';
import { checkFields } from '../base/known-fields.ts';
import { letterTable, requeuedTable } from '../dead-letters/letters.ts';
import { checkpointTable, lowOf } from '../handler-state/checkpoint.ts';
import { handledPrefix, handledTable } from '../handler-state/completion-records.ts';
import { PROJECTION_PREFIX } from '../handler-state/handler-name.ts';
import type { StateTables } from '../handler-state/handler-state.ts';
import type { RemoteTraces } from '../handler-state/state-adapter.ts';
import {
  type Generation,
  type KeptProjection,
  keptProjectionOf,
  projectionTable,
  rowTable,
} from '../projections/projection.ts';
import type { Beginnings } from '../subscriptions/beginnings.ts';
import { forgetNames } from '../subscriptions/kept-names.ts';
import { filterTable } from '../subscriptions/widened.ts';

/** What was kept of a handler, and is no more; or would be no more. */
export interface ForgottenHandler {
  readonly name: string;
  /** `reader`: the database alone knows of it. */
  readonly kind: 'subscription' | 'projection' | 'reader';
  readonly outcome: 'forgotten' | 'would be forgotten';
  /** Where it stood, the furthest behind if it had several checkpoints: months behind this need not wait for it any more. */
  readonly position: number;
  /** Names of its checkpoints. */
  readonly checkpoints: readonly string[];
  /** Rows on this machine. */
  readonly rows: number;
  /** Tables that Trunkline has made for rows that were being built. */
  readonly dropped: readonly string[];
  /** The user's own table, which stays as it is. */
  readonly stays: string | undefined;
}

export interface ForgetParts {
  /** Where handlers keep what must survive, each place once. */
  readonly places: readonly StateTables[];
  readonly remote: RemoteTraces | undefined;
  readonly beginnings: Beginnings | undefined;
  /** By a subscription's name, or a projection's behind `projection:`. */
  isRunning(name: string): boolean;
  /** From now on to the end it may not begin. */
  hold(name: string): void;
}

/** What is known under a name. */
interface Found {
  kind: ForgottenHandler['kind'];
  /** Of the projection without its prefix. */
  plainName: string;
  /** By the names of its checkpoints. */
  positions: Map<string, number>;
  kept: Map<StateTables, KeptProjection>;
}

const nameBytesLimit = 200;
const entriesPerPage = 1_000;
const unfinished = 0; // as a version

export function checkForget(name: string, options: { dryRun?: boolean | undefined }): void {
  checkFields('subscriptions.forget', options, ['dryRun']);
  const { dryRun } = options;
  if (dryRun !== undefined && typeof dryRun !== 'boolean') invalid('dryRun', dryRun, 'must be true or false');
  const fault = nameFault(name, nameBytesLimit);
  if (fault !== undefined) invalid('name', name, fault);
}

/** @throws UnknownSubscription, HandlerNeeded */
export async function forget(parts: ForgetParts, name: string, dryRun: boolean): Promise<ForgottenHandler> {
  const { places, remote, beginnings } = parts;
  refuseRunning(parts, name, [name, withoutNumber(name)]);
  const found = await find(parts, name);
  const { kind, plainName, positions, kept } = found;
  const checkpoints = [...positions.keys()].sort();
  const full = kind === 'projection' ? `${PROJECTION_PREFIX}${plainName}` : plainName;
  refuseRunning(parts, name, [full]); // in one turn with what keeps it from beginning
  parts.hold(full);
  await refuseLetters(places, name, checkpoints);
  const projection = kind === 'projection' ? plainName : undefined;
  const result: ForgottenHandler = {
    name,
    kind,
    outcome: dryRun ? 'would be forgotten' : 'forgotten',
    position: Math.min(...positions.values()),
    checkpoints,
    rows: projection === undefined ? 0 : await sum(places, (place) => count(place, rowTable(projection))),
    dropped: projection === undefined ? [] : ((await remote?.built(projection)) ?? []),
    stays: [...kept.values()].find(({ shown }) => shown?.table !== undefined)?.shown?.table,
  };
  if (dryRun) return result;
  for (const [place, record] of kept) await removeRows(place, plainName, record);
  await remote?.remove(projection, []);
  for (const place of places) {
    for (const one of checkpoints) {
      for (const table of [checkpointTable, filterTable]) place.stage(table, one, undefined);
      for (const table of [handledTable, requeuedTable]) {
        for await (const { key } of place.entries(table, { prefix: handledPrefix(one) }))
          place.stage(table, key, undefined);
      }
      await forgetNames(one, place);
    }
    if (kept.has(place)) place.stage(projectionTable, plainName, undefined);
    await place.durable();
  }
  beginnings?.forget(checkpoints);
  await remote?.remove(undefined, checkpoints);
  return result;
}

function refuseRunning(parts: ForgetParts, name: string, known: readonly string[]): void {
  if (!known.some((one) => parts.isRunning(one))) return;
  throw needed(name, 'it is running; close it, or take it out of its service, first');
}

/** A projection's name, of one of its generations. */
const withoutNumber = (name: string): string => (name.startsWith(PROJECTION_PREFIX) ? name.replace(/#\d+$/, '') : name);

/** What keeps anything here, or holds months there. */
async function find({ places, remote }: ForgetParts, name: string): Promise<Found> {
  const positions = new Map<string, number>(await remote?.readers());
  const here = new Set<string>();
  const projections = new Map<string, Map<StateTables, unknown>>();
  for (const place of places) {
    for (const { key, value } of await place.range(checkpointTable)) {
      positions.set(key, lowOf(value));
      here.add(key);
    }
    for (const { key, value } of await place.range(projectionTable)) {
      const kept = projections.get(key) ?? new Map<StateTables, unknown>();
      projections.set(key, kept.set(place, value));
    }
  }
  const plainName = projectionIn(name, [...positions.keys()], projections);
  if (plainName !== undefined) {
    const own = [...positions].filter(([reader]) => generationOf(reader, plainName) !== undefined);
    // Those of others may be broken: what is not asked for is not read.
    const kept = [...(projections.get(plainName) ?? [])].map(
      ([place, value]) => [place, keptProjectionOf(value, plainName)] as const,
    );
    return { kind: 'projection', plainName, positions: new Map(own), kept: new Map(kept) };
  }
  const position = positions.get(name);
  if (position !== undefined && !name.startsWith(PROJECTION_PREFIX)) {
    const kind = here.has(name) ? 'subscription' : 'reader';
    return { kind, plainName: name, positions: new Map([[name, position]]), kept: new Map() };
  }
  const known = new Set([...projections.keys()].map((one) => `${PROJECTION_PREFIX}${one}`));
  for (const one of positions.keys()) known.add(withoutNumber(one));
  const names = [...known].sort();
  const message = `nothing is kept of a handler '${name}'; known: ${names.join(', ') || 'none'}`;
  throw new TrunklineError('UnknownSubscription', { handler: name, known: names }, { message });
}

/** `projection:sums`, or with the number of its rows, as `partitions drop` and `status` name it. */
function projectionIn(
  name: string,
  readers: readonly string[],
  projections: ReadonlyMap<string, unknown>,
): string | undefined {
  if (!name.startsWith(PROJECTION_PREFIX)) return undefined;
  const whole = name.slice(PROJECTION_PREFIX.length);
  const candidates = [whole, ...(/#\d+$/.test(whole) ? [whole.replace(/#\d+$/, '')] : [])];
  return candidates.find(
    (one) => projections.has(one) || readers.some((reader) => generationOf(reader, one) !== undefined),
  );
}

function generationOf(reader: string, projection: string): string | undefined {
  const start = `${PROJECTION_PREFIX}${projection}#`;
  return reader.startsWith(start) && /^\d+$/.test(reader.slice(start.length)) ? reader.slice(start.length) : undefined;
}

async function refuseLetters(places: readonly StateTables[], name: string, handlers: readonly string[]): Promise<void> {
  const letters = await sum(places, (place) => sum(handlers, (one) => count(place, letterTable, `${one}\0`)));
  if (letters === 0) return;
  const remedy = `see trunkline dead-letters list --handler ${name}, and discard or requeue them first`;
  throw needed(name, `it has ${letters} dead letter${letters === 1 ? '' : 's'}; ${remedy}`);
}

/** In an order that a crash may break off anywhere. */
async function removeRows(place: StateTables, projection: string, { shown, building }: KeptProjection): Promise<void> {
  const all: readonly [Generation | undefined, Generation | undefined][] = [
    [shown, building],
    [undefined, shown],
  ];
  for (const [left, goes] of all) {
    if (goes === undefined) continue;
    const marked: KeptProjection = { ...(left && { shown: left }), building: { ...goes, version: unfinished } };
    place.stage(projectionTable, projection, marked);
    await place.durable();
    const prefix = `${goes.generation}\0`;
    for (;;) {
      const rows = await place.range(rowTable(projection), { prefix, limit: entriesPerPage });
      for (const { key } of rows) place.stage(rowTable(projection), key, undefined);
      await place.durable();
      if (rows.length < entriesPerPage) break;
    }
  }
}

async function count(place: StateTables, table: string, prefix = ''): Promise<number> {
  let entries = 0;
  for await (const page of place.pages(table, { prefix })) entries += page.length;
  return entries;
}

async function sum<T>(all: readonly T[], each: (one: T) => Promise<number>): Promise<number> {
  let total = 0;
  for (const one of all) total += await each(one);
  return total;
}

export const needed = (handler: string, reason: string): TrunklineError =>
  new TrunklineError('HandlerNeeded', { handler, reason });
