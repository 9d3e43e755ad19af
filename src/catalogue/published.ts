// Where events go by a stream's settings, read as a start reads them: which names and versions are in which topic. Nothing is
// connected to.

import type { KafkaSettings } from '../adapters/kafka/kafka-options.ts';
import { Publishing } from '../adapters/kafka/publishing.ts';
import { declaredTopics, integrationTopicOf, topicNaming } from '../adapters/kafka/topics.ts';
import { Published } from '../adapters/kafka/versions.ts';
import type { AnyAggregate } from '../model/aggregate.ts';
import { declaredEvents } from '../model/catalogue.ts';
import { isEntityEvents } from '../model/entity-events.ts';

/** A kind of record that an event becomes. */
interface RecordKind {
  /** The event's name there. */
  readonly type: string;
  /** Undefined: the version that is stored, whichever it is. */
  readonly schemaVersion: number | undefined;
  readonly topic: string;
}

/** By stored names. */
export interface PublishedStream {
  /** Empty: it is not published. */
  recordsOf(aggregateType: string, eventType: string): readonly RecordKind[];
  /** Where integration events go whose mapping names no topic; undefined: they are not published. */
  integrationTopicOf(aggregateType: string): string | undefined;
}

/**
 * Chosen versions are those of aggregates: entities' events go out as they are stored.
 * @throws InvalidOptions for what a start would refuse
 */
export async function publishedStream(
  { topics, versions, publishing }: Pick<KafkaSettings, 'topics' | 'versions' | 'publishing'>,
  declared: readonly AnyAggregate[],
): Promise<PublishedStream> {
  const events = declaredEvents(declared.filter((one) => !isEntityEvents(one)));
  const published = new Published(events, versions);
  const switches = new Publishing(events, 'stream.publishing', publishing);
  const topicOf = await topicNaming(topics);
  declaredTopics([...published.events, ...declaredEvents(declared.filter(isEntityEvents))], topicOf, topics);
  const isOff = publishing.integration === false && !Object.entries(publishing).some(isOnIntegration);
  return {
    recordsOf: (aggregateType, eventType) => {
      if (!switches.isOn(aggregateType, eventType)) return [];
      const forms = published.formsOf(aggregateType, eventType) ?? [{ type: eventType, schemaVersion: undefined }];
      return forms.map((form) => ({ ...form, topic: topicOf(aggregateType, form.type) }));
    },
    integrationTopicOf: (aggregateType) => (isOff ? undefined : integrationTopicOf(topics, aggregateType)),
  };
}

const isOnIntegration = ([name, isOn]: readonly [string, boolean]): boolean => isOn && name.startsWith('integration.');
