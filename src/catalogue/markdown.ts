// A catalogue as a folder of Markdown: a README of all for people, and the files that EventCatalog reads (a service with its
// entities, events and their versions; channels). https://www.eventcatalog.dev/docs/api

import {
  type Catalogue,
  type CatalogueAggregate,
  type CatalogueEvent,
  type CatalogueVersion,
  topicsOf,
} from './catalogue.ts';
import { Keys } from './keys.ts';
import { code, codeList, jsonBlock, jsonText, quoted } from './text.ts';

/** By path within the folder, `/` between its parts. */
export type FilesByPath = ReadonlyMap<string, string>;

export function markdownFiles(catalogue: Catalogue): FilesByPath {
  return new Folder(catalogue).files();
}

class Folder {
  private readonly catalogue: Catalogue;
  private readonly made = new Map<string, string>();
  private readonly events = new Keys();
  private readonly entities = new Keys();
  private readonly channels = new Keys();
  /** Topics, and the events in each. */
  private readonly topics = new Map<string, string[]>();
  private readonly service: string;

  constructor(catalogue: Catalogue) {
    this.catalogue = catalogue;
    this.service = new Keys().of(catalogue.service);
  }

  files(): FilesByPath {
    const sends: string[] = [];
    const entities: string[] = [];
    const overview: string[] = [];
    for (const aggregate of this.catalogue.aggregates) {
      const entity = this.entities.of(aggregate.name);
      entities.push(`  - id: ${quoted(entity)}`);
      overview.push('', `## ${code(aggregate.name)}`, '', ...aggregateLines(aggregate));
      for (const event of aggregate.events) {
        const id = this.events.of(aggregate.name, event.type);
        this.addEvent(aggregate, event, id);
        sends.push(...this.sendLines(event, id));
        const note = event.formerNames.length === 0 ? '' : `, formerly ${codeList(event.formerNames)}`;
        const at = `services/${this.service}/events/${id}/index.mdx`;
        overview.push(`- [${code(event.type)}](${at}), version ${event.schemaVersion}${note}`);
      }
      this.addEntity(aggregate, entity);
      const { integration } = aggregate;
      if (integration?.topic !== undefined)
        this.topicOf(integration.topic).push(`integration events of ${aggregate.name}`);
    }
    for (const [topic, types] of this.topics) this.addChannel(topic, types);
    const { service, release } = this.catalogue;
    const lists = [...listOf('sends', sends), ...listOf('entities', entities)];
    const summary = `Its aggregates and the events that they raise.`;
    const head = frontmatter({ id: this.service, name: service, version: release, summary }, lists);
    this.add(`services/${this.service}/index.mdx`, [...head, '', `Events of ${code(service)}.`]);
    this.add('README.md', [`# Events of ${code(service)}`, ...overview]);
    return new Map([...this.made].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** The versions that are in topics; the newest one where none is, or where topics are not known. */
  private sendLines({ versions }: CatalogueEvent, id: string): string[] {
    const sent = versions.filter(({ records = [] }) => records.length > 0).reverse();
    return (sent.length === 0 ? versions.slice(-1) : sent).flatMap(({ schemaVersion, records = [] }) => {
      const to = topicsOf(records)!.map((topic) => `      - id: ${quoted(this.channels.of(topic))}`);
      return [`  - id: ${quoted(id)}`, `    version: "${schemaVersion}.0.0"`, ...listOf('    to', to)];
    });
  }

  private addEvent(aggregate: CatalogueAggregate, event: CatalogueEvent, id: string): void {
    for (const topic of event.topics ?? []) {
      this.topicOf(topic).push(`${aggregate.name}.${event.type}`);
    }
    for (const version of event.versions) {
      const isNewest = version.schemaVersion === event.schemaVersion;
      const own = isNewest ? '' : `versioned/${version.schemaVersion}.0.0/`;
      const at = `services/${this.service}/events/${id}/${own}`;
      const hasSchema = 'schema' in version.payload;
      const head = frontmatter(
        {
          id,
          name: event.type,
          version: `${version.schemaVersion}.0.0`,
          summary: `Of the ${aggregate.kind} ${aggregate.name}.`,
          ...(hasSchema && { schemaPath: 'schema.json' }),
        },
        version.isRead ? [] : ['deprecated: true'],
      );
      const lines = versionLines(this.catalogue.service, aggregate, event, version);
      this.add(`${at}index.mdx`, [...head, '', ...lines]);
      if ('schema' in version.payload) this.add(`${at}schema.json`, [jsonText(version.payload.schema)]);
    }
  }

  private topicOf(topic: string): string[] {
    const types = this.topics.get(topic) ?? [];
    this.topics.set(topic, types);
    return types;
  }

  private addEntity(aggregate: CatalogueAggregate, id: string): void {
    const summary = aggregate.kind === 'entity' ? 'An entity.' : 'An aggregate.';
    const head = frontmatter({ id, name: aggregate.name, version: this.catalogue.release, summary }, [
      'aggregateRoot: true',
    ]);
    this.add(`services/${this.service}/entities/${id}/index.mdx`, [...head, '', ...aggregateLines(aggregate)]);
  }

  private addChannel(topic: string, types: readonly string[]): void {
    const id = this.channels.of(topic);
    const summary = 'A topic of Kafka.';
    const fields = { id, name: topic, version: this.catalogue.release, summary, address: topic };
    const lines = [...new Set(types)].map((type) => `- ${code(type)}`);
    this.add(`channels/${id}/index.mdx`, [...frontmatter(fields, ['protocols:', '  - "kafka"']), '', ...lines]);
  }

  private add(path: string, lines: readonly string[]): void {
    this.made.set(path, `${lines.join('\n')}\n`);
  }
}

const listOf = (name: string, lines: readonly string[]): string[] => (lines.length === 0 ? [] : [`${name}:`, ...lines]);

const frontmatter = (fields: Readonly<Record<string, string>>, more: readonly string[]): string[] => [
  '---',
  ...Object.entries(fields).map(([name, value]) => `${name}: ${quoted(value)}`),
  ...more,
  '---',
];

function aggregateLines(aggregate: CatalogueAggregate): string[] {
  const { name, kind, storedName, formerNames, commands, retired, integration } = aggregate;
  const made = integration?.topic === undefined ? '' : ` (by default in ${code(integration.topic)})`;
  const lines = [
    ...(kind === 'entity' ? ['- An entity: its events alone are declared'] : []),
    ...(formerNames.length > 0 ? [`- Former names: ${codeList(formerNames)}`] : []),
    ...(storedName === name ? [] : [`- Stored as: ${code(storedName)}`]),
    ...(commands.length > 0 ? [`- Commands: ${codeList(commands)}`] : []),
    ...(retired.length > 0 ? [`- Retired event types: ${codeList(retired)}`] : []),
    ...(integration === undefined ? [] : [`- Integration events${made} of ${codeList(integration.causes)}`]),
  ];
  return lines.length === 0 ? [] : [...lines, ''];
}

function versionLines(
  service: string,
  { name, kind, integration }: CatalogueAggregate,
  event: CatalogueEvent,
  { schemaVersion, payload, example, isRead, records }: CatalogueVersion,
): string[] {
  const { type, formerNames, splits, readers = [] } = event;
  const newest = schemaVersion === event.schemaVersion ? '' : `; readers see version ${event.schemaVersion}`;
  const names = [...new Set(records?.map((record) => record.type))].filter((one) => one !== type);
  const made = integration?.topic === undefined ? '' : `, by default in ${code(integration.topic)}`;
  const pasts = splits.map((split) => `- In place of ${code(split.type)} of the past, or as one of several`);
  return [
    `${code(type)} of the ${kind} ${code(name)}, version ${schemaVersion}${isRead ? newest : '; read no more'}.`,
    '',
    `- Producer: ${code(service)}`,
    ...(formerNames.length > 0 ? [`- Former names: ${codeList(formerNames)}`] : []),
    ...pasts,
    ...topicLines(records),
    ...(names.length > 0 ? [`- There also, or only, by the names ${codeList(names)}`] : []),
    ...(readers.length > 0 ? [`- Read by: ${codeList(readers)}`] : []),
    ...(integration?.causes.includes(type) ? [`- Becomes integration events${made}`] : []),
    ...('schema' in payload ? [] : [`- No JSON Schema: ${code(payload.reason)}`]),
    ...(example === undefined ? [] : ['', '## Example', '', jsonBlock(example.value)]),
    ...('schema' in payload ? ['', '## Schema', '', jsonBlock(payload.schema)] : []),
    ...splits.flatMap((split) => split.versions.flatMap((version) => splitLines(split.type, version))),
  ];
}

function topicLines(records: CatalogueVersion['records']): string[] {
  const topics = topicsOf(records);
  if (topics === undefined) return [];
  return topics.length === 0 ? ['- In no topic'] : [`- Topics: ${codeList(topics)}`];
}

function splitLines(type: string, { schemaVersion, payload, example }: CatalogueVersion): string[] {
  return [
    ...['', `## ${code(type)} of the past, version ${schemaVersion}`, ''],
    ...('schema' in payload ? [jsonBlock(payload.schema)] : [`No JSON Schema: ${code(payload.reason)}`]),
    ...(example === undefined ? [] : ['', 'Example:', '', jsonBlock(example.value)]),
  ];
}
