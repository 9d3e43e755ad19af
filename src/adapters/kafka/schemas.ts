// Schemas on the wire: each declared event's JSON Schema, wrapped as the format wraps the payload, registered under its
// subject before the first event is published; afterwards an event's id is a look into a map. Integration events have their
// public name as their subject: it is the contract, on whatever topic they are.

import { TrunklineError } from '../../base/errors.ts';
import { userJson } from '../../base/json.ts';
import { own } from '../../base/own.ts';
import type { EventDeclaration } from '../../model/event.ts';
import { integrationName } from './integration.ts';
import type { Format, KafkaSettings } from './kafka-options.ts';
import { Registry } from './registry.ts';
import type { TopicName } from './topics.ts';

type Json = Record<string, unknown>;

const text = { type: 'string' };
const number = { type: 'integer' };

/** The fields around the payload, and its own name, by format. */
const envelopes: Readonly<Record<Format, { payload: string; fields: Json } | undefined>> = {
  trunkline: {
    payload: 'data',
    fields: {
      id: text,
      type: text,
      aggregateType: text,
      aggregateId: text,
      version: number,
      position: number,
      schemaVersion: number,
      occurredAt: text,
      metadata: { type: 'object' },
    },
  },
  'snake-case': {
    payload: 'payload',
    fields: {
      event_id: text,
      event_type: text,
      aggregate_id: text,
      aggregate_type: text,
      timestamp: text,
      version: number,
    },
  },
  'cloudevents-binary': undefined,
  'cloudevents-structured': {
    payload: 'data',
    fields: { specversion: text, id: text, source: text, type: text, subject: text, time: text },
  },
};

/** The schema of a record's value. Definitions move to the root, where references look for them. */
export function schemaOfValue(format: Format, payload: Json, title: string): Json {
  const envelope = envelopes[format];
  const { $schema, $defs, definitions, ...inner } = payload;
  const root: Json = { $schema: $schema ?? 'http://json-schema.org/draft-07/schema#', title };
  if (!envelope) return { ...root, ...payload };
  const moved = userJson(JSON.stringify(inner).replaceAll('"$ref":"#"', `"$ref":"#/properties/${envelope.payload}"`));
  const properties = { ...envelope.fields, [envelope.payload]: moved };
  const schema: Json = { ...root, type: 'object', properties, required: Object.keys(properties) };
  if ($defs) schema.$defs = $defs;
  if (definitions) schema.definitions = definitions;
  return schema;
}

export class Schemas {
  private readonly settings: NonNullable<KafkaSettings['registry']>;
  private readonly format: Format;
  private readonly registry: Registry;
  /** Of names that no declared event has today: what is given for one stands for all its versions, which nothing tells here. */
  private readonly idsOfNames = new Map<string, number>();
  private readonly idsOfVersions = new Map<string, number>();
  private knowsPast = false;

  constructor(settings: NonNullable<KafkaSettings['registry']>, format: Format) {
    this.settings = settings;
    this.format = format;
    this.registry = new Registry(settings);
  }

  /**
   * Register what is declared and what is given.
   * @throws SchemaRefused; RegistryUnavailable; InvalidOptions for an event without a schema
   */
  async prepare(events: readonly EventDeclaration[], topicOf: TopicName): Promise<void> {
    // A subject's versions are registered in their order.
    const all = events.toSorted((one, other) => one.schemaVersion - other.schemaVersion);
    const declared = new Map(all.map((one) => [nameOf(one), one.schemaVersion]));
    for (const name of Object.keys(this.settings.schemas)) {
      const dot = name.indexOf('.');
      const [aggregateType, type] = [name.slice(0, dot), name.slice(dot + 1)];
      if (!declared.has(name)) all.push({ aggregateType, type, schemaVersion: 1 });
    }
    const subjects = new Map<string, string>();
    for (const event of all) {
      const { aggregateType, type, schemaVersion, jsonSchema } = event;
      const name = nameOf(event);
      const version = `${name}@${schemaVersion}`;
      if (this.idsOfVersions.has(version) || this.idsOfNames.has(name)) continue;
      const isNewest = (declared.get(name) ?? schemaVersion) === schemaVersion;
      // What is given is the newest version's.
      const payload = (isNewest ? (own(this.settings.schemas, name) as Json | undefined) : undefined) ?? jsonSchema;
      if (!payload) {
        const what = isNewest ? name : `version ${schemaVersion} of ${name}`;
        const remedy = isNewest ? 'give one here' : 'give it one';
        const reason = `${what} has no validator that tells its JSON Schema; ${remedy}, or leave the registry out`;
        throw new TrunklineError('InvalidOptions', { option: 'stream.registry.schemas', reason });
      }
      const subject = aggregateType === integrationName ? type : this.subjectOf(topicOf, aggregateType, type);
      const other = subjects.get(subject);
      if (other !== undefined && other !== name) {
        const reason = `${subject} would be the subject of ${other} and of ${name}: choose topicRecord`;
        throw new TrunklineError('InvalidOptions', { option: 'stream.registry.subjects', reason });
      }
      subjects.set(subject, name);
      const id = await this.registry.register(subject, schemaOfValue(this.format, payload, type));
      if (declared.has(name)) this.idsOfVersions.set(version, id);
      else this.idsOfNames.set(name, id);
    }
    if (!this.knowsPast) for (const event of events) await this.findPast(event, topicOf);
    this.knowsPast = true;
  }

  /**
   * What the releases before have raised may be in flight still: it goes out under the schema that they have registered. It is
   * only looked up: a start is not refused for what is no longer raised.
   */
  private async findPast(event: EventDeclaration, topicOf: TopicName): Promise<void> {
    const { aggregateType, names = [event.type], versions = [] } = event;
    for (const type of names) {
      const name = `${aggregateType}.${type}`;
      const subject = this.subjectIfAny(topicOf, aggregateType, type);
      if (subject === undefined) continue;
      for (const { schemaVersion, jsonSchema } of versions) {
        const version = `${name}@${schemaVersion}`;
        if (jsonSchema === undefined || this.idsOfVersions.has(version)) continue;
        const id = await this.registry.find(subject, schemaOfValue(this.format, jsonSchema, type));
        if (id !== undefined) this.idsOfVersions.set(version, id);
      }
    }
  }

  /** Undefined: this version of the event has no schema here. That of another one would say of its payload what is not so. */
  idOf(aggregateType: string, type: string, schemaVersion: number): number | undefined {
    const name = `${aggregateType}.${type}`;
    return this.idsOfVersions.get(`${name}@${schemaVersion}`) ?? this.idsOfNames.get(name);
  }

  /** A naming of topics may know no names of the past. */
  private subjectIfAny(topicOf: TopicName, aggregateType: string, type: string): string | undefined {
    try {
      return this.subjectOf(topicOf, aggregateType, type);
    } catch {
      return undefined;
    }
  }

  private subjectOf(topicOf: TopicName, aggregateType: string, type: string): string {
    switch (this.settings.subjects) {
      case 'topicRecord':
        return `${topicOf(aggregateType, type)}-${type}`;
      case 'record':
        return `${aggregateType}.${type}`;
      case 'topic':
        return `${topicOf(aggregateType, type)}-value`;
    }
  }
}

const nameOf = ({ aggregateType, type }: EventDeclaration): string => `${aggregateType}.${type}`;
