// Whose topic is whose. Types that no aggregate declares may be a database role's, which chooses names of types and events: it
// gets no record onto a topic of another type, and makes no topic in the way of one. Declared types are the service's alone.

import type { EventDeclaration } from '../../model/event.ts';
import type { TopicSettings } from './kafka-options.ts';
import type { TopicSpec } from './stream.ts';
import {
  eventTopic,
  integrationTopicOf,
  isByType,
  isLegalTopic,
  normalised,
  ownTopics,
  type TopicName,
} from './topics.ts';

interface Claim {
  readonly topic: string;
  /** For a message. */
  readonly what: string;
  /** Undeclared types may have it, too: the naming does not ask for the type. */
  readonly isShared: boolean;
}

export class TopicClaims {
  /** The topics that mappings publish on unless they say another. */
  readonly integrationTopics: readonly TopicSpec[];
  private readonly declared: ReadonlySet<string>;
  /** By normalised topics. */
  private readonly claims = new Map<string, Claim>();
  /** How topics of integration events begin, of mappings to come, too. */
  private readonly integrationSpace: string;

  /** `mapped`: aggregate types that have integration mappings. The topics of `events` have been looked at: see `declaredTopics`. */
  constructor(
    events: readonly EventDeclaration[],
    mapped: Iterable<string>,
    topicOf: TopicName,
    settings: TopicSettings,
  ) {
    this.declared = new Set(events.map(({ aggregateType }) => aggregateType));
    this.integrationSpace = integrationTopicOf(settings, '').toLowerCase();
    for (const { topic } of ownTopics(settings)) this.claim(topic, "one of the stream's own", false);
    const isShared = !isByType(settings);
    for (const { aggregateType, type } of events) {
      this.claim(topicOf(aggregateType, type), `that of ${aggregateType}.${type}`, isShared);
    }
    const topics = Array.from(mapped, (aggregateType) => integrationTopicOf(settings, aggregateType));
    const legal = topics.filter(isLegalTopic);
    for (const topic of legal) this.claim(topic, 'one of integration events', false);
    this.integrationTopics = legal.map((topic) => eventTopic(topic, settings));
  }

  /** Why an event of this type may not have this topic; `isRelayed`: it came by the outbox. */
  obstacle(topic: string, aggregateType: string, isRelayed: boolean): string | undefined {
    if (this.declared.has(aggregateType)) return undefined;
    if (isRelayed && topic.toLowerCase().startsWith(this.integrationSpace)) {
      return `topic '${topic}' is kept for integration events`;
    }
    const claim = this.claims.get(normalised(topic));
    if (claim === undefined || (claim.isShared && claim.topic === topic)) return undefined;
    if (claim.topic === topic) return `topic '${topic}' is ${claim.what}`;
    return `topic '${topic}' collides with ${claim.topic}, ${claim.what}`;
  }

  /** The first one has it. */
  private claim(topic: string, what: string, isShared: boolean): void {
    const key = normalised(topic);
    if (!this.claims.has(key)) this.claims.set(key, { topic, what, isShared });
  }
}
