// A catalogue as a folder of Markdown: a README of all for people, and the files that EventCatalog reads (a service with its
// entities, events and their versions; channels). https://www.eventcatalog.dev/docs/api

import type { Catalogue, CatalogueAggregate, CatalogueEvent, CatalogueVersion } from './catalogue.ts';
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

  private sendLines({ schemaVersion, topics = [] }: CatalogueEvent, id: string): string[] {
    const to = topics.map((topic) => `      - id: ${quoted(this.channels.of(topic))}`);
    return [`  - id: ${quoted(id)}`, `    version: "${schemaVersion}.0.0"`, ...listOf('    to', to)];
  }

  private addEvent(aggregate: CatalogueAggregate, event: CatalogueEvent, id: string): void {
    for (const topic of event.topics ?? []) {
      const types = this.topics.get(topic) ?? [];
      types.push(`${aggregate.name}.${event.type}`);
      this.topics.set(topic, types);
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
          summary: `Of the aggregate ${aggregate.name}.`,
          ...(hasSchema && { schemaPath: 'schema.json' }),
        },
        version.isRead ? [] : ['deprecated: true'],
      );
      this.add(`${at}index.mdx`, [...head, '', ...versionLines(aggregate, event, version, isNewest)]);
      if ('schema' in version.payload) this.add(`${at}schema.json`, [jsonText(version.payload.schema)]);
    }
  }

  private addEntity(aggregate: CatalogueAggregate, id: string): void {
    const summary = 'An aggregate.';
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

function aggregateLines({ name, storedName, formerNames, commands, retired }: CatalogueAggregate): string[] {
  const lines = [
    ...(formerNames.length > 0 ? [`- Former names: ${codeList(formerNames)}`] : []),
    ...(storedName === name ? [] : [`- Stored as: ${code(storedName)}`]),
    ...(commands.length > 0 ? [`- Commands: ${codeList(commands)}`] : []),
    ...(retired.length > 0 ? [`- Retired event types: ${codeList(retired)}`] : []),
  ];
  return lines.length === 0 ? [] : [...lines, ''];
}

function versionLines(
  { name }: CatalogueAggregate,
  event: CatalogueEvent,
  { schemaVersion, payload, example, isRead }: CatalogueVersion,
  isNewest: boolean,
): string[] {
  const { type, formerNames, splits, topics, readers = [] } = event;
  const newest = isNewest ? '' : `; readers see version ${event.schemaVersion}`;
  const pasts = splits.map((split) => `- In place of ${code(split.type)} of the past, or as one of several`);
  return [
    `${code(type)} of the aggregate ${code(name)}, version ${schemaVersion}${isRead ? newest : '; read no more'}.`,
    '',
    ...(formerNames.length > 0 ? [`- Former names: ${codeList(formerNames)}`] : []),
    ...pasts,
    ...(topics === undefined ? [] : [`- Topics: ${codeList(topics)}`]),
    ...(readers.length > 0 ? [`- Read by: ${codeList(readers)}`] : []),
    ...('schema' in payload ? [] : [`- No JSON Schema: ${code(payload.reason)}`]),
    ...(example === undefined ? [] : ['', '## Example', '', jsonBlock(example.value)]),
    ...('schema' in payload ? ['', '## Schema', '', jsonBlock(payload.schema)] : []),
    ...splits.flatMap((split) => split.versions.flatMap((version) => splitLines(split.type, version))),
  ];
}

function splitLines(type: string, { schemaVersion, payload, example }: CatalogueVersion): string[] {
  return [
    ...['', `## ${code(type)} of the past, version ${schemaVersion}`, ''],
    ...('schema' in payload ? [jsonBlock(payload.schema)] : [`No JSON Schema: ${code(payload.reason)}`]),
    ...(example === undefined ? [] : ['', 'Example:', '', jsonBlock(example.value)]),
  ];
}
