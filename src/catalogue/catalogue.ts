// What a program's aggregates declare, as a catalogue shows it: names of today and before, commands, each event with all its
// versions and an example of each, topics. Plain data in a fixed order, from which each format makes its own text.

import { own } from '../base/own.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import type { Dialect, PayloadSchema } from '../model/json-schema.ts';
import { compareNames, type DescribedEvent, type DescribedVersion, describeAggregates } from '../schemas/describe.ts';
import { samplesOf } from '../schemas/samples.ts';
import type { Reader } from './readers.ts';

export interface Catalogue {
  /** Whose events these are. */
  readonly service: string;
  /** Of the document, as its user numbers it. */
  readonly release: string;
  readonly aggregates: readonly CatalogueAggregate[];
}

export interface CatalogueAggregate {
  readonly name: string;
  /** In logs, stores and topics. */
  readonly storedName: string;
  readonly formerNames: readonly string[];
  readonly commands: readonly string[];
  readonly events: readonly CatalogueEvent[];
  /** Event types of the past that mean nothing any more. */
  readonly retired: readonly string[];
}

export interface CatalogueEvent {
  readonly type: string;
  readonly schemaVersion: number;
  readonly formerNames: readonly string[];
  readonly versions: readonly CatalogueVersion[];
  /** Event types of the past that are this one now, or this one and others. */
  readonly splits: readonly CatalogueSplit[];
  /** Of the event by its names of today and before; undefined: they are not known. */
  readonly topics: readonly string[] | undefined;
  /** Titles of who gets it; undefined: not known. */
  readonly readers: readonly string[] | undefined;
}

export interface CatalogueVersion {
  readonly schemaVersion: number;
  readonly payload: PayloadSchema;
  /** Whether events of it are read still. */
  readonly isRead: boolean;
  /** Undefined: none can be made. */
  readonly example: { readonly value: unknown } | undefined;
}

interface CatalogueSplit {
  readonly type: string;
  /** Empty: none are declared. */
  readonly versions: readonly CatalogueVersion[];
  readonly topics: readonly string[] | undefined;
}

export interface CatalogueOptions {
  readonly service: string;
  readonly release: string;
  /** By the stored name of the aggregate type. */
  readonly topicOf?: ((aggregateType: string, eventType: string) => string) | undefined;
  readonly readers?: readonly Reader[] | undefined;
  /** The first that a validator knows is taken. */
  readonly dialects?: readonly Dialect[] | undefined;
}

export function makeCatalogue(aggregates: readonly AnyAggregate[], options: CatalogueOptions): Catalogue {
  const { service, release, topicOf, dialects, readers } = options;
  const commands = new Map(aggregates.map((one) => [one.name as string, Object.keys(one.commands).sort(compareNames)]));
  const described = describeAggregates(aggregates, dialects).map(
    ({ name, storedName, formerNames, events, retired }) => {
      const topics = (types: readonly string[]): string[] | undefined =>
        topicOf && [...new Set(types.map((type) => topicOf(storedName, type)))];
      const readersOf = (types: readonly string[]): string[] | undefined =>
        readers?.filter((one) => one.wants([name, ...formerNames], types)).map(({ title }) => title);
      return {
        ...{ name, storedName, formerNames, retired },
        commands: commands.get(name) ?? [],
        events: events.map((event) => eventOf(event, topics, readersOf)),
      };
    },
  );
  return { service, release, aggregates: described };
}

/** By the names of today and before of an event type. */
type OfTypes = (types: readonly string[]) => string[] | undefined;

function eventOf(event: DescribedEvent, topics: OfTypes, readers: OfTypes): CatalogueEvent {
  const { type, schemaVersion, formerNames, lowest } = event;
  const splits = event.splits.map((split) => ({
    type: split.type,
    versions: split.versions.map((version) => versionOf(version, split.lowest)),
    topics: topics([split.type]),
  }));
  return {
    ...{ type, schemaVersion, formerNames },
    versions: event.versions.map((version) => versionOf(version, lowest)),
    splits: splits.sort((a, b) => compareNames(a.type, b.type)),
    topics: topics([type, ...formerNames]),
    readers: readers([type, ...formerNames]),
  };
}

function versionOf({ schemaVersion, payload }: DescribedVersion, lowest: number): CatalogueVersion {
  return { schemaVersion, payload, isRead: schemaVersion >= lowest, example: exampleOf(payload) };
}

/** The user's own, where the schema has some. */
function exampleOf(payload: PayloadSchema): CatalogueVersion['example'] {
  if (!('schema' in payload)) return undefined;
  const given = own(payload.schema, 'examples');
  const [value] = Array.isArray(given) && given.length > 0 ? given : samplesOf(payload.schema, 1);
  return value === undefined ? undefined : { value };
}
