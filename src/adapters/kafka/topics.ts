// Topics: which event goes where, what is created, and how what exists differs from what was asked for.

import { pause } from '../../base/clock.ts';
import { TrunklineError } from '../../base/errors.ts';
import { tame } from '../../base/tame.ts';
import { importUserModule } from '../../base/user-module.ts';
import type { EventDeclaration } from '../../model/event.ts';
import { refusePromise } from './integration.ts';
import type { TopicSettings } from './kafka-options.ts';
import type { PartitionMemory } from './partition-memory.ts';
import { type StreamClient, StreamFault, type TopicSpec, type TopicState } from './stream.ts';

/** Names an event's topic. */
export type TopicName = (aggregateType: string, eventType: string) => string;

const nameBytesLimit = 249;
const segmentBytes = 16 << 20;
const looksMost = 50;
/** Names and drifts that are kept in memory; a role that may raise events may make up types without end. */
const keptMost = 10_000;
const lookMs = 50;

/** Whether Kafka takes it. */
export function isLegalTopic(topic: unknown): topic is string {
  if (typeof topic !== 'string' || topic === '.' || topic === '..') return false;
  return topic.length <= nameBytesLimit && /^[\w.-]+$/.test(topic);
}

/** The name of a topic that is none, for a message. */
const quoted = (topic: unknown): string =>
  typeof topic === 'string' ? `'${tame(topic, nameBytesLimit)}'` : `a ${typeof topic}`;

/** From the template, or the user's module. */
export async function topicNaming(settings: TopicSettings): Promise<TopicName> {
  const { module, template, prefix } = settings;
  const known = new Map<string, Map<string, string>>();
  let count = 0;
  let name: TopicName = (aggregateType, eventType) =>
    template
      .replaceAll('{prefix}', prefix)
      .replace(/\{aggregate(?:Type|_type)\}/g, () => aggregateType)
      .replace(/\{event(?:Type|_type)\}/g, () => eventType);
  if (module !== undefined) {
    const made: unknown = (await importUserModule(module)).default;
    if (typeof made !== 'function') {
      const reason = 'must have a function as its default export';
      throw new TrunklineError('InvalidOptions', { option: 'stream.topics.module', reason });
    }
    name = made as TopicName;
  }
  return (aggregateType, eventType) => {
    let ofType = known.get(aggregateType);
    if (!ofType) known.set(aggregateType, (ofType = new Map()));
    let topic = ofType.get(eventType);
    if (topic === undefined) {
      topic = name(aggregateType, eventType);
      refusePromise('a naming of topics', topic);
      if (++count > keptMost) {
        known.clear();
        known.set(aggregateType, (ofType = new Map()));
        count = 1;
      }
      ofType.set(eventType, topic);
    }
    return topic;
  };
}

/**
 * The topics of all declared events. Throws `InvalidOptions` naming the first that Kafka would not take, or that another one
 * is in the way of.
 */
export function declaredTopics(
  events: readonly EventDeclaration[],
  topicOf: TopicName,
  settings: TopicSettings,
): string[] {
  const topics = new Set<string>();
  const collisions = new Collisions(settings);
  for (const { aggregateType, type } of events) {
    let topic: string;
    try {
      topic = topicOf(aggregateType, type);
    } catch (error) {
      const reason = `cannot tell the topic of ${aggregateType}.${type}: ${tame(error)}`;
      throw new TrunklineError('InvalidOptions', { option: 'stream.topics', reason });
    }
    if (!isLegalTopic(topic)) {
      const reason = `${quoted(topic)} is the topic of ${aggregateType}.${type}; a topic has 1 to ${nameBytesLimit} of a-z A-Z 0-9 . _ -`;
      throw new TrunklineError('InvalidOptions', { option: 'stream.topics', reason });
    }
    const obstacle = collisions.add(topic, aggregateType, type);
    if (obstacle !== undefined) {
      throw new TrunklineError('InvalidOptions', { option: 'stream.topics', reason: obstacle });
    }
    topics.add(topic);
  }
  return [...topics];
}

/**
 * Topics that are one to Kafka, to its metrics or to a person, and were meant to be two: Kafka takes no '.' beside a '_' in
 * the same place, and a name that differs in case only is mistaken for the other. One topic for two aggregate types is in
 * order where the naming does not ask for the type at all.
 */
class Collisions {
  private readonly own: ReadonlySet<string>;
  private readonly isByType: boolean;
  private readonly taken = new Map<string, { topic: string; aggregateType: string; type: string }>();

  constructor(settings: TopicSettings) {
    this.own = new Set(ownTopics(settings).map(({ topic }) => normalised(topic)));
    this.isByType = isByType(settings);
  }

  /** Why an event may not have this topic; undefined if it may. */
  add(topic: string, aggregateType: string, type: string): string | undefined {
    const what = `'${topic}' is the topic of ${aggregateType}.${type}`;
    const key = normalised(topic);
    if (this.own.has(key)) return `${what}, and one of the stream's own; choose another internalPrefix or template`;
    const other = this.taken.get(key);
    if (other === undefined) this.taken.set(key, { topic, aggregateType, type });
    else if (other.topic !== topic || (this.isByType && other.aggregateType !== aggregateType)) {
      return `${what}, and collides with ${other.topic}, that of ${other.aggregateType}.${other.type}; name them apart`;
    }
    return undefined;
  }
}

export const normalised = (topic: string): string => topic.toLowerCase().replaceAll('.', '_');

/** Whether each aggregate type has topics of its own. */
export const isByType = ({ module, template }: TopicSettings): boolean =>
  module === undefined && /\{aggregate(?:Type|_type)\}/.test(template);

/** Where integration events go whose mapping names no topic. */
export const integrationTopicOf = ({ prefix }: TopicSettings, aggregateType: string): string =>
  `${prefix}.integration.${aggregateType}`;

/** A topic of events, as the settings want it. */
export function eventTopic(topic: string, settings: TopicSettings): TopicSpec {
  const config: Record<string, string> = { ...settings.config };
  if (settings.retentionMs !== undefined) config['retention.ms'] = String(settings.retentionMs);
  if (settings.cleanupPolicy !== undefined) config['cleanup.policy'] = settings.cleanupPolicy;
  return { topic, partitions: settings.partitions, replicationFactor: settings.replicationFactor, config };
}

export const checkpointTopicOf = ({ internalPrefix }: TopicSettings): string => `${internalPrefix}.checkpoints`;
export const quarantineTopicOf = ({ internalPrefix }: TopicSettings): string => `${internalPrefix}.quarantine`;

/** By the same prefix as the topics, so that rights to the one service's are none to another's. */
export const transactionalIdOf = ({ internalPrefix }: TopicSettings, logId: string): string =>
  `${internalPrefix}-${logId}`;

/** The stream's own topics. Checkpoints are compacted in small segments, so that a start has little to read. */
export function ownTopics(settings: TopicSettings): TopicSpec[] {
  const { replicationFactor } = settings;
  const checkpoints = {
    'cleanup.policy': 'compact',
    'segment.bytes': String(segmentBytes),
    'min.cleanable.dirty.ratio': '0.1',
  };
  return [
    { topic: checkpointTopicOf(settings), partitions: 8, replicationFactor, config: checkpoints },
    { topic: quarantineTopicOf(settings), partitions: 1, replicationFactor, config: { 'retention.ms': '-1' } },
  ];
}

/** One way in which a topic is not as configured. */
export interface Drift {
  topic: string;
  /** `partitions`, `replicationFactor`, `missing`, or a setting by Kafka's name. */
  what: string;
  wanted: string;
  found: string;
}

/** What differs; only what was asked for is compared. */
export function driftOf(spec: TopicSpec, state: TopicState | undefined): Drift[] {
  const { topic } = spec;
  if (!state) return [{ topic, what: 'missing', wanted: `${spec.partitions} partitions`, found: 'nothing' }];
  const drifts: Drift[] = [];
  const compare = (what: string, wanted: string, found: string): void => {
    if (wanted !== found) drifts.push({ topic, what, wanted, found });
  };
  compare('partitions', String(spec.partitions), String(state.partitions));
  if (spec.replicationFactor > 0) {
    compare('replicationFactor', String(spec.replicationFactor), String(state.replicationFactor));
  }
  for (const [key, value] of Object.entries(spec.config)) compare(key, value, state.config.get(key) ?? 'unknown');
  return drifts;
}

const isRefusal = (error: unknown): boolean => error instanceof StreamFault && error.kind === 'refused';
const isDenial = (error: unknown): boolean => error instanceof StreamFault && error.kind === 'denied';

/** What is known of the topics in use; asked of the cluster when one is new, forgotten after any trouble. */
export class Topics {
  private readonly client: StreamClient;
  private readonly settings: TopicSettings;
  private readonly states = new Map<string, TopicState>();
  private readonly onDrift: (drift: Drift) => void;
  private readonly told = new Set<string>();
  private readonly memory: Pick<PartitionMemory, 'use'>;
  private readonly own: ReadonlySet<string>;
  /** Topics of events that are not declared, which this run has created, or tried to: for events of the log's own, and for those that came by the outbox. */
  private readonly created: Readonly<Record<'own' | 'outbox', Set<string>>> = { own: new Set(), outbox: new Set() };

  constructor(
    client: StreamClient,
    settings: TopicSettings,
    memory: Pick<PartitionMemory, 'use'>,
    onDrift: (drift: Drift) => void,
  ) {
    this.client = client;
    this.settings = settings;
    this.memory = memory;
    this.onDrift = onDrift;
    this.own = new Set(ownTopics(settings).map(({ topic }) => topic));
  }

  /** Whether it is one of the stream's own, where no events go. */
  isOwn(topic: string): boolean {
    return this.own.has(topic);
  }

  /**
   * The same for topics of events that are not declared: which the cluster will never have, and which this run may not create,
   * with the reasons. What may pass is thrown. `ofOutbox`: those that events which came by the outbox
   * alone ask for. They have a room of their own: a database role that makes up types takes none of what the service's new types have.
   */
  async find(specs: readonly TopicSpec[], ofOutbox: ReadonlySet<string>): Promise<ReadonlyMap<string, string>> {
    const refused = new Map<string, string>();
    const wanted = specs.filter(({ topic }) => !this.states.has(topic));
    for (const topic of await this.beyondLimit(wanted, ofOutbox)) {
      const whose = ofOutbox.has(topic) ? ' for events that came by the outbox' : '';
      const reason = `topic ${topic} does not exist, and ${this.settings.createLimit} (topics.createLimit) were created in this run${whose}`;
      refused.set(topic, reason);
    }
    const admitted = wanted.filter(({ topic }) => !refused.has(topic));
    try {
      await this.ensure(admitted);
      return refused;
    } catch (error) {
      if (!isRefusal(error)) throw error;
    }
    for (const spec of admitted) {
      try {
        await this.ensure([spec]);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        for (const created of Object.values(this.created)) created.delete(spec.topic); // it is not there
        refused.set(spec.topic, tame(error));
      }
    }
    return refused;
  }

  /** Create these, before others make what stands in their way; one that cannot be is found out when an event asks for it. */
  async reserve(specs: readonly TopicSpec[]): Promise<void> {
    if (!this.settings.create) return;
    for (const spec of specs) {
      try {
        await this.ensure([spec]);
      } catch (error) {
        if (!isRefusal(error) && !isDenial(error)) throw error;
      }
    }
  }

  /** Of these topics, those that would have to be created beyond the limit; the others are noted as created. */
  private async beyondLimit(specs: readonly TopicSpec[], ofOutbox: ReadonlySet<string>): Promise<string[]> {
    if (specs.length === 0 || !this.settings.create) return [];
    const names = specs.map(({ topic }) => topic);
    const found = await this.client.describeTopics(names);
    return names.filter((topic) => {
      const created = this.created[ofOutbox.has(topic) ? 'outbox' : 'own'];
      if (found.has(topic) || created.has(topic)) return false;
      if (created.size >= this.settings.createLimit) return true;
      created.add(topic);
      return false;
    });
  }

  /** Undefined until `ensure` has named it. */
  get(topic: string): TopicState | undefined {
    return this.states.get(topic);
  }

  /** Look at topics that are new to us, and create those that are missing. */
  async ensure(specs: readonly TopicSpec[]): Promise<void> {
    const fresh = specs.filter(({ topic }) => !this.states.has(topic));
    if (fresh.length === 0) return;
    const names = fresh.map(({ topic }) => topic);
    let found = await this.client.describeTopics(names);
    const missing = fresh.filter(({ topic }) => !found.has(topic));
    const creatable = missing.filter(({ topic }) => this.settings.create || this.own.has(topic));
    if (creatable.length > 0) {
      await this.client.createTopics(creatable);
      found = await this.whenKnown(names);
    }
    for (const spec of fresh) {
      const state = found.get(spec.topic);
      if (!state || !missing.includes(spec)) for (const drift of driftOf(spec, state)) this.tell(drift);
      if (!state) {
        throw new StreamFault('refused', new Error(`topic ${spec.topic} does not exist, and topics.create is false`));
      }
    }
    const used = this.memory.use(new Map(Array.from(found, ([topic, { partitions }]) => [topic, partitions])));
    for (const [topic, state] of found) {
      const partitions = used.get(topic)!;
      this.states.set(topic, { ...state, partitions });
      if (partitions === state.partitions) continue;
      const wanted = `${partitions}, as when this log began to use it (keys stay where they are, the others are not used)`;
      this.tell({ topic, what: 'partitions', wanted, found: String(state.partitions) });
    }
  }

  /** Each drift once, however often we have to look again. */
  private tell(drift: Drift): void {
    const known = JSON.stringify(drift);
    if (this.told.has(known)) return;
    if (this.told.size >= keptMost) this.told.clear();
    this.told.add(known);
    this.onDrift(drift);
  }

  /** A topic that has just been created is not known to every broker at once. */
  private async whenKnown(names: readonly string[]): Promise<Map<string, TopicState>> {
    for (let look = 1; ; look++) {
      try {
        const found = await this.client.describeTopics(names);
        if (look === looksMost || names.every((name) => found.has(name))) return found;
      } catch (error) {
        if (look === looksMost) throw error;
      }
      await pause(lookMs);
    }
  }

  forget(): void {
    this.states.clear();
  }
}
