// What a program's aggregates declare, as a catalogue shows it: names of today and before, commands, each event with all its
// versions and an example of each, topics. Plain data in a fixed order, from which each format makes its own text.

import { own } from '../base/own.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { isEntityEvents } from '../model/entity-events.ts';
import type { Dialect, PayloadSchema } from '../model/json-schema.ts';
import { compareNames, type DescribedEvent, type DescribedVersion, describeAggregates } from '../schemas/describe.ts';
import { samplesOf } from '../schemas/samples.ts';
import type { PublishedStream } from './published.ts';
import { causes, type Mapping, type Reader } from './readers.ts';

export interface Catalogue {
  /** Whose events these are. */
  readonly service: string;
  /** Of the document, as its user numbers it. */
  readonly release: string;
  readonly aggregates: readonly CatalogueAggregate[];
}

export interface CatalogueAggregate {
  readonly name: string;
  /** Entities' events are declared without commands and state. */
  readonly kind: 'aggregate' | 'entity';
  /** In logs, stores and topics. */
  readonly storedName: string;
  readonly formerNames: readonly string[];
  readonly commands: readonly string[];
  readonly events: readonly CatalogueEvent[];
  /** Event types of the past that mean nothing any more. */
  readonly retired: readonly string[];
  /** Undefined: none are known. */
  readonly integration: CatalogueIntegration | undefined;
}

/** Events for the outside. Functions make them, so that neither their types nor their payloads are known. */
interface CatalogueIntegration {
  /** Where the functions name none; undefined: it is not known. */
  readonly topic: string | undefined;
  /** The types of events that become some. */
  readonly causes: readonly string[];
}

export interface CatalogueEvent {
  readonly type: string;
  readonly schemaVersion: number;
  readonly formerNames: readonly string[];
  readonly versions: readonly CatalogueVersion[];
  /** Event types of the past that are this one now, or this one and others. */
  readonly splits: readonly CatalogueSplit[];
  /** Of all its versions, by its names of today and before; empty: it is not published; undefined: they are not known. */
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
  /** What is published of it; undefined: it is not known. */
  readonly records: readonly CatalogueRecord[] | undefined;
}

interface CatalogueRecord {
  /** The event's name there: of today or before. */
  readonly type: string;
  readonly topic: string;
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
  readonly stream?: PublishedStream | undefined;
  readonly integrations?: readonly Mapping[] | undefined;
  readonly readers?: readonly Reader[] | undefined;
  /** The first that a validator knows is taken. */
  readonly dialects?: readonly Dialect[] | undefined;
}

export function makeCatalogue(aggregates: readonly AnyAggregate[], options: CatalogueOptions): Catalogue {
  const { service, release, stream, dialects, readers } = options;
  const byName = new Map(aggregates.map((one) => [one.name as string, one]));
  const described = describeAggregates(aggregates, dialects).map(
    ({ name, storedName, formerNames, events, retired }): CatalogueAggregate => {
      const recordsOf: RecordsOf = (types) => stream && types.flatMap((type) => stream.recordsOf(storedName, type));
      const readersOf: ReadersOf = (types) =>
        readers?.filter((one) => one.wants([name, ...formerNames], types)).map(({ title }) => title);
      const aggregate = byName.get(name)!;
      return {
        ...{ name, storedName, formerNames, retired, kind: isEntityEvents(aggregate) ? 'entity' : 'aggregate' },
        commands: Object.keys(aggregate.commands).sort(compareNames),
        events: events.map((event) => eventOf(event, recordsOf, readersOf)),
        integration: integrationOf(storedName, events, options),
      };
    },
  );
  return { service, release, aggregates: described };
}

function integrationOf(
  storedName: string,
  events: readonly DescribedEvent[],
  { integrations = [], stream }: CatalogueOptions,
): CatalogueIntegration | undefined {
  const own = integrations.filter(({ aggregateType }) => aggregateType === storedName);
  const types = events.map(({ type }) => type).filter((type) => own.some((one) => causes(one, type)));
  const topic = stream?.integrationTopicOf(storedName);
  const isOff = stream !== undefined && topic === undefined;
  return types.length === 0 || isOff ? undefined : { topic, causes: types };
}

/** By the names of today and before of an event type. */
type RecordsOf = (types: readonly string[]) => ReturnType<PublishedStream['recordsOf']> | undefined;
type ReadersOf = (types: readonly string[]) => string[] | undefined;

function eventOf(event: DescribedEvent, recordsOf: RecordsOf, readersOf: ReadersOf): CatalogueEvent {
  const { type, schemaVersion, formerNames, lowest } = event;
  const types = [type, ...formerNames];
  const splits = event.splits.map((split) => {
    const records = recordsOf([split.type]);
    const versions = split.versions.map((version) => versionOf(version, split.lowest, records));
    return { type: split.type, versions, topics: topicsOf(records) };
  });
  const records = recordsOf(types);
  return {
    ...{ type, schemaVersion, formerNames },
    versions: event.versions.map((version) => versionOf(version, lowest, records)),
    splits: splits.sort((a, b) => compareNames(a.type, b.type)),
    topics: topicsOf(records),
    readers: readersOf(types),
  };
}

function versionOf(
  { schemaVersion, payload }: DescribedVersion,
  lowest: number,
  records: ReturnType<RecordsOf>,
): CatalogueVersion {
  // Chosen versions are the same by each name of the event.
  const own = records
    ?.filter((one) => (one.schemaVersion ?? schemaVersion) === schemaVersion)
    .map(({ type, topic }) => [JSON.stringify([type, topic]), { type, topic }] as const);
  return {
    ...{ schemaVersion, payload, isRead: schemaVersion >= lowest, example: exampleOf(payload) },
    records: own && [...new Map(own).values()],
  };
}

/** Each once. */
export const topicsOf = <R extends CatalogueRecord>(records: readonly R[] | undefined): string[] | undefined =>
  records && [...new Set(records.map(({ topic }) => topic))];

/** The user's own, where the schema has some. */
function exampleOf(payload: PayloadSchema): CatalogueVersion['example'] {
  if (!('schema' in payload)) return undefined;
  const given = own(payload.schema, 'examples');
  const [value] = Array.isArray(given) && given.length > 0 ? given : samplesOf(payload.schema, 1);
  return value === undefined ? undefined : { value };
}
