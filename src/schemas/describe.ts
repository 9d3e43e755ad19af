// What a program declares of its events, as plain data: each aggregate, each event type with all its versions, and what it was
// called or made from before. For commands that compare, publish or show it; nothing here runs an upcaster.

import type { AnyAggregate } from '../model/aggregate.ts';
import { storedTypeOf } from '../model/aggregate-names.ts';
import type { EventPast, EventSpec } from '../model/event-spec.ts';
import { type Dialect, jsonSchemaOf, type PayloadSchema } from '../model/json-schema.ts';

export interface DescribedAggregate {
  readonly name: string;
  /** The name that its events are stored by; the key in the lock file. */
  readonly storedName: string;
  /** Names that the type had before, the oldest first: that one is stored. */
  readonly formerNames: readonly string[];
  /** By name. */
  readonly events: readonly DescribedEvent[];
  /** Event types of the past that mean nothing any more. */
  readonly retired: readonly string[];
}

export interface DescribedEvent {
  readonly type: string;
  /** The newest version: the last one of `versions`. */
  readonly schemaVersion: number;
  /** The lowest version that is read. */
  readonly lowest: number;
  /** Ascending, without a gap; also those that are read no more, but that the chain still holds. */
  readonly versions: readonly DescribedVersion[];
  /** Names that the event type had before. */
  readonly formerNames: readonly string[];
  /** Event types of the past whose events are this one now, or this one and others. */
  readonly splits: readonly DescribedSplit[];
}

export interface DescribedVersion {
  readonly schemaVersion: number;
  /** What readers of this version see; what is stored. */
  readonly payload: PayloadSchema;
  /** Whether a function leads back to the version before. */
  readonly hasDown: boolean;
}

interface DescribedSplit {
  readonly type: string;
  /** Of the old event type, ascending; empty: none are declared, the function takes each payload as it is stored. */
  readonly versions: readonly DescribedVersion[];
  /** The lowest of them that is read. */
  readonly lowest: number;
}

/** The newest dialect first. */
const dialects: readonly Dialect[] = ['draft-2020-12', 'draft-07'];

/** By name. `given`: dialects of JSON Schema; the first that a validator knows is taken. */
export function describeAggregates(
  aggregates: readonly AnyAggregate[],
  given: readonly Dialect[] = dialects,
): DescribedAggregate[] {
  return aggregates
    .map(({ name, renamedFrom = [], events, retired }) => ({
      name: name as string,
      storedName: storedTypeOf({ name, renamedFrom }),
      formerNames: [...renamedFrom],
      events: Object.entries(events as Record<string, EventSpec<unknown>>)
        .map(([type, spec]) => describeEvent(type, spec, given))
        .sort((a, b) => compareNames(a.type, b.type)),
      retired: [...retired].sort(compareNames),
    }))
    .sort((a, b) => compareNames(a.name, b.name));
}

function describeEvent(
  type: string,
  { schemaVersion, past }: EventSpec<unknown>,
  given: readonly Dialect[],
): DescribedEvent {
  const splits = past.splits.map((source) => ({
    type: source.type,
    versions: source.spec === undefined ? [] : versionsOf(source.spec.past, given),
    lowest: source.spec?.past.lowest ?? 1,
  }));
  return {
    type,
    schemaVersion,
    lowest: past.lowest,
    versions: versionsOf(past, given),
    formerNames: [...past.names],
    splits,
  };
}

function versionsOf({ steps }: EventPast, given: readonly Dialect[]): DescribedVersion[] {
  return steps.map(({ schemaVersion, schema, down }) => ({
    schemaVersion,
    payload: jsonSchemaOf(schema, given),
    hasDown: down !== undefined,
  }));
}

/** The same on every machine, whatever its language. */
export function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
