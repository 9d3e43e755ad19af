// A catalogue as an AsyncAPI 3.1 document: a channel for each topic, a message for each version of each event that may be in it,
// with the schema of the record's value in the stream's format. What AsyncAPI has no field for is in `x-trunkline` of a message.

import type { Format } from '../adapters/kafka/kafka-options.ts';
import { schemaOfValue } from '../adapters/kafka/schemas.ts';
import type { Catalogue, CatalogueAggregate, CatalogueEvent, CatalogueVersion } from './catalogue.ts';
import { Keys } from './keys.ts';
import { relocated } from './references.ts';

type Json = Readonly<Record<string, unknown>>;

/** The dialect that parsers of AsyncAPI know without a plug-in: what the catalogue must be made with. */
export const asyncapiDialects = ['draft-07'] as const;
const schemaFormat = 'application/schema+json;version=draft-07';

const contentTypeOf = (format: Format): string =>
  format === 'cloudevents-structured' ? 'application/cloudevents+json' : 'application/json';

interface Message {
  readonly aggregate: string;
  readonly type: string;
  readonly version: CatalogueVersion;
  readonly remarks: readonly string[];
  readonly extension: Json;
}

export function asyncapiDocument(catalogue: Catalogue, format: Format): Json {
  const { service, release, aggregates } = catalogue;
  const document = new AsyncapiDocument(format);
  for (const aggregate of aggregates) {
    const { name, storedName, events } = aggregate;
    for (const event of events) {
      const extension = extensionOf(catalogue, aggregate, event);
      for (const version of event.versions) {
        const type = version.records?.[0]?.type ?? event.type;
        const known = version.records?.map((record) => record.type) ?? event.formerNames;
        const others = [...new Set(known)].filter((one) => one !== type);
        const remarks = [
          ...(type === event.type ? [] : [`The event is called ${event.type} today.`]),
          ...(others.length === 0 ? [] : [`Other records have the name ${others.join(', ')}.`]),
        ];
        const message = { aggregate: name, type, version, remarks, extension };
        document.add(document.key(name, event.type, version.schemaVersion), message, storedName);
      }
      for (const split of event.splits) {
        const remarks = [`Of the past: readers see ${event.type} in its place, or several events.`];
        for (const version of split.versions) {
          const key = document.key(name, split.type, version.schemaVersion);
          document.add(key, { aggregate: name, type: split.type, version, remarks, extension }, storedName);
        }
      }
    }
    document.addIntegration(catalogue, aggregate);
  }
  const description = 'Events as they are stored and published: each version of each event type.';
  return {
    asyncapi: '3.1.0',
    info: { title: service, version: release, description },
    defaultContentType: contentTypeOf(format),
    ...document.parts(),
  };
}

function extensionOf({ service }: Catalogue, { name, kind, integration }: CatalogueAggregate, event: CatalogueEvent) {
  const { type, versions, topics, readers } = event;
  return {
    producer: { service, [kind]: name },
    event: type,
    versions: versions.map(({ schemaVersion }) => schemaVersion),
    ...(topics !== undefined && { topics }),
    ...(readers !== undefined && { readers }),
    ...(integration?.causes.includes(type) && { integrationTopic: integration.topic ?? null }),
  };
}

interface Channel {
  readonly address: string | null;
  readonly description?: string;
  readonly messages: Set<string>;
}

class AsyncapiDocument {
  private readonly format: Format;
  private readonly keys = new Keys();
  private readonly channelKeys = new Keys();
  private readonly channels = new Map<string, Channel>();
  private readonly messages: [string, Json][] = [];
  private readonly schemas: [string, Json][] = [];

  constructor(format: Format) {
    this.format = format;
  }

  /** Of a message. */
  key(...parts: readonly (string | number)[]): string {
    return this.keys.of(...parts);
  }

  /** Where its topics are not known, or it has none, a channel of the aggregate's own has no address. */
  add(key: string, message: Message, storedName: string): void {
    const { records } = message.version;
    this.messages.push([key, this.messageOf(key, message)]);
    if (records === undefined) this.channel(this.channelKeys.of(storedName), null).add(key);
    else if (records.length === 0) {
      this.channel(this.channelKeys.of('not published', storedName), null, 'In the store: no topic has it.').add(key);
    } else for (const { topic } of records) this.channel(this.channelKeys.of(topic), topic).add(key);
  }

  /** What is made for the outside: which events become some is all that is known of it. */
  addIntegration({ service }: Catalogue, { name, storedName, kind, integration }: CatalogueAggregate): void {
    if (integration === undefined) return;
    const key = this.keys.of('integration events', storedName);
    const title = `integration events of ${name}`;
    const { $schema: _, ...schema } = schemaOfValue(this.format, {}, title);
    this.schemas.push([key, { schemaFormat, schema }]);
    const causes = `Functions make them of ${integration.causes.join(', ')}`;
    this.messages.push([
      key,
      {
        name: title,
        title,
        description: `${causes}: their types and payloads are not known here, and one may name a topic of its own.`,
        contentType: contentTypeOf(this.format),
        payload: ref('components/schemas', key),
        'x-trunkline': { producer: { service, [kind]: name }, causes: integration.causes },
      },
    ]);
    const { topic } = integration;
    const channelKey =
      topic === undefined ? this.channelKeys.of('integration', storedName) : this.channelKeys.of(topic);
    this.channel(channelKey, topic ?? null).add(key);
  }

  private channel(key: string, address: string | null, description?: string): Set<string> {
    let channel = this.channels.get(key);
    if (channel === undefined) {
      channel = { address, ...(description !== undefined && { description }), messages: new Set() };
      this.channels.set(key, channel);
    }
    return channel.messages;
  }

  parts(): Json {
    const channels = [...this.channels].sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      channels: Object.fromEntries(
        channels.map(([key, { messages, ...rest }]) => [
          key,
          { ...rest, messages: Object.fromEntries([...messages].map((one) => [one, ref('components/messages', one)])) },
        ]),
      ),
      operations: Object.fromEntries(
        channels.map(([key]) => [`send.${key}`, { action: 'send', channel: ref('channels', key) }]),
      ),
      components: { schemas: Object.fromEntries(this.schemas), messages: Object.fromEntries(this.messages) },
    };
  }

  private messageOf(key: string, { aggregate, type, version, remarks, extension }: Message): Json {
    const { schemaVersion, isRead, payload } = version;
    const title = `${aggregate}.${type}, version ${schemaVersion}`;
    const place = `#/components/schemas/${key}/schema`;
    const record = 'schema' in payload ? relocated(this.valueSchema(payload.schema, version, title), place) : undefined;
    const { $schema: _, ...schema } = record ?? schemaOfValue(this.format, {}, title);
    this.schemas.push([key, { schemaFormat, schema }]);
    const lacking = 'schema' in payload ? 'it refers to another one, or has $ref as a name' : payload.reason;
    const description = [
      ...remarks,
      ...(isRead ? [] : ['It is read no more.']),
      ...(record === undefined ? [`Its payload has no JSON Schema here: ${lacking}.`] : []),
    ].join(' ');
    return {
      name: type,
      title,
      ...(description !== '' && { description }),
      contentType: contentTypeOf(this.format),
      payload: ref('components/schemas', key),
      'x-trunkline': extension,
    };
  }

  private valueSchema(schema: Json, { example }: CatalogueVersion, title: string): Json {
    const { $id: _, ...own } = schema;
    return schemaOfValue(this.format, { ...(example && { examples: [example.value] }), ...own }, title);
  }
}

const ref = (place: string, key: string): Json => ({ $ref: `#/${place}/${key}` });
