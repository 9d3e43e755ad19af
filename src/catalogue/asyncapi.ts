// A catalogue as an AsyncAPI 3.1 document: a channel for each topic, a message for each version of each event that may be in it,
// with the schema of the record's value in the stream's format.

import type { Format } from '../adapters/kafka/kafka-options.ts';
import { schemaOfValue } from '../adapters/kafka/schemas.ts';
import type { Catalogue, CatalogueVersion } from './catalogue.ts';
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
}

export function asyncapiDocument({ service, release, aggregates }: Catalogue, format: Format): Json {
  const document = new AsyncapiDocument(format);
  for (const { name, storedName, events } of aggregates) {
    for (const { type, formerNames, versions, splits, topics } of events) {
      const also = formerNames.length === 0 ? [] : [`Older records have the name ${formerNames.join(', ')}.`];
      for (const version of versions)
        document.add({ aggregate: name, type, version, remarks: also }, storedName, topics);
      for (const split of splits) {
        const remarks = [`Of the past: readers see ${type} in its place, or several events.`];
        for (const version of split.versions) {
          document.add({ aggregate: name, type: split.type, version, remarks }, storedName, split.topics);
        }
      }
    }
  }
  const description = 'Events as they are stored and published: each version of each event type.';
  return {
    asyncapi: '3.1.0',
    info: { title: service, version: release, description },
    defaultContentType: contentTypeOf(format),
    ...document.parts(),
  };
}

class AsyncapiDocument {
  private readonly format: Format;
  private readonly keys = new Keys();
  private readonly channelKeys = new Keys();
  private readonly channels = new Map<string, { address: string | null; messages: Set<string> }>();
  private readonly messages: [string, Json][] = [];
  private readonly schemas: [string, Json][] = [];

  constructor(format: Format) {
    this.format = format;
  }

  /** `topics`: undefined where they are not known; then a channel of the aggregate's own has no address. */
  add(message: Message, storedName: string, topics: readonly string[] | undefined): void {
    const key = this.keys.of(message.aggregate, message.type, message.version.schemaVersion);
    this.messages.push([key, this.messageOf(key, message)]);
    for (const topic of topics ?? [storedName]) {
      const channelKey = this.channelKeys.of(topic);
      let channel = this.channels.get(channelKey);
      if (channel === undefined) {
        channel = { address: topics === undefined ? null : topic, messages: new Set() };
        this.channels.set(channelKey, channel);
      }
      channel.messages.add(key);
    }
  }

  parts(): Json {
    const channels = [...this.channels].sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      channels: Object.fromEntries(
        channels.map(([key, { address, messages }]) => [
          key,
          { address, messages: Object.fromEntries([...messages].map((one) => [one, ref('components/messages', one)])) },
        ]),
      ),
      operations: Object.fromEntries(
        channels.map(([key]) => [`send.${key}`, { action: 'send', channel: ref('channels', key) }]),
      ),
      components: { schemas: Object.fromEntries(this.schemas), messages: Object.fromEntries(this.messages) },
    };
  }

  private messageOf(key: string, { aggregate, type, version, remarks }: Message): Json {
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
    };
  }

  private valueSchema(schema: Json, { example }: CatalogueVersion, title: string): Json {
    const { $id: _, ...own } = schema;
    return schemaOfValue(this.format, { ...(example && { examples: [example.value] }), ...own }, title);
  }
}

const ref = (place: string, key: string): Json => ({ $ref: `#/${place}/${key}` });
