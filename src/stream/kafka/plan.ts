// From a batch of the log to the records of one transaction: which events are published, where, in which form, and in how
// many requests, since a topic bounds the bytes of what it takes at once. What cannot be published is set aside with the
// reason; the rest goes on.
import { TrunklineError } from '../../errors.ts';
import { decodeEvent, type Metadata, type StoredEvent } from '../../event.ts';
import type { Batch } from '../../flush/flush.ts';
import { FrameKind, type FrameReader } from '../../frame.ts';
import { toJson } from '../../payload.ts';
import type { Integrations } from '../integration.ts';
import type { KafkaSettings } from '../kafka.ts';
import type { OutRecord } from '../stream.ts';
import { type Formatted, formatEvent, type OutEvent } from './format.ts';
import { partitionOf } from './partition.ts';
import type { Schemas } from './schemas.ts';
import { eventTopic, isLegalTopic, quarantineTopicOf, type TopicName, type Topics } from './topics.ts';

/** An event that is not published, as the quarantine topic and the logger are told. */
export type SetAside = TrunklineError<'EventQuarantined'>;

export interface Plan {
  /** One after the other, in one transaction. */
  requests: OutRecord[][];
  setAside: SetAside[];
}

interface Draft {
  topic: string;
  key: string;
  formatted: Formatted;
  event: OutEvent;
}

/** More than Kafka's record and batch headers take, per record and per batch. */
const recordOverheadBytes = 48;
const headerOverheadBytes = 8;
const batchOverheadBytes = 128;
const requestBytesLimit = 16 << 20;
const defaultMessageBytes = 1_000_000;

export interface PlannerParts {
  settings: KafkaSettings;
  topicOf: TopicName;
  topics: Topics;
  schemas: Schemas | undefined;
  integrations: Integrations;
}

export class Planner {
  publishing: Readonly<Record<string, boolean>>;
  private readonly parts: PlannerParts;

  constructor(parts: PlannerParts) {
    this.parts = parts;
    this.publishing = parts.settings.publishing;
  }

  /** Records for everything in the batch behind `after`. */
  async plan(batch: Batch, after: number): Promise<Plan> {
    const { settings, topics } = this.parts;
    const drafts: Draft[] = [];
    const setAside: SetAside[] = [];
    this.draft(batch, after, drafts, setAside);
    const names = [...new Set(drafts.map(({ topic }) => topic))];
    await topics.ensure(names.map((topic) => eventTopic(topic, settings.topics)));
    const packer = new Packer(topics);
    for (const draft of drafts) {
      const reason = packer.add(draft);
      if (reason !== undefined) setAside.push(refusal(draft.event, reason));
    }
    const quarantine = quarantineTopicOf(settings.topics);
    for (const { details } of setAside) {
      const value = Buffer.from(JSON.stringify(details));
      packer.push({ topic: quarantine, partition: 0, key: details.aggregateId, value, headers: {} });
    }
    return { requests: packer.requests, setAside };
  }

  private isOn(aggregateType: string, type: string): boolean {
    return this.publishing[`${aggregateType}.${type}`] ?? this.publishing[aggregateType] ?? true;
  }

  private draft(batch: Batch, after: number, drafts: Draft[], setAside: SetAside[]): void {
    const { integrations } = this.parts;
    // The events of the command under way that some mapping wants, by aggregate.
    const wanted = new Map<string, StoredEvent[]>();
    batch.eachFrame((frame, position) => {
      if (position > after && frame.kind === FrameKind.event) {
        const { aggregateType } = frame;
        if (integrations.concerns(aggregateType)) {
          const event = decodeEvent(frame, position);
          const key = `${aggregateType}\n${event.aggregateId}`;
          wanted.set(key, [...(wanted.get(key) ?? []), event]);
        }
        this.draftOne(frame, aggregateType, position, drafts, setAside);
      }
      if (!frame.isLast || wanted.size === 0) return;
      for (const events of wanted.values()) this.integrate(events, drafts, setAside);
      wanted.clear();
    });
  }

  private draftOne(
    frame: FrameReader,
    aggregateType: string,
    position: number,
    drafts: Draft[],
    setAside: SetAside[],
  ): void {
    const { settings, topicOf, schemas } = this.parts;
    const { name: type, metadataJson } = frame;
    if (!this.isOn(aggregateType, type)) return;
    const event: OutEvent = {
      id: frame.id,
      type,
      aggregateType,
      aggregateId: frame.aggregateId,
      version: frame.version,
      schemaVersion: frame.schemaVersion,
      position,
      occurredAt: frame.occurredAt,
      metadata: metadataJson === '' ? noMetadata : (JSON.parse(metadataJson) as Metadata),
      metadataJson: metadataJson === '' ? '{}' : metadataJson,
      data: frame.dataBytes,
    };
    const topic = topicOf(aggregateType, type);
    const schemaId = schemas?.idOf(aggregateType, type);
    if (!isLegalTopic(topic)) setAside.push(refusal(event, `'${topic}' is no legal topic`));
    else if (schemas && schemaId === undefined) setAside.push(refusal(event, 'it has no schema in the registry'));
    else
      drafts.push({ topic, key: event.aggregateId, formatted: formatEvent(settings.format, event, schemaId), event });
  }

  /** The events that one command raised on one aggregate. */
  private integrate(events: readonly StoredEvent[], drafts: Draft[], setAside: SetAside[]): void {
    const { settings, schemas } = this.parts;
    const [{ aggregateType }] = events as [StoredEvent];
    try {
      const made = this.parts.integrations.map(aggregateType, events);
      const fresh = made.map(({ event: { type, version = 1, data, topic, key }, cause }, index): Draft => {
        const metadata: Metadata = { ...cause.metadata, causationId: cause.id };
        const event: OutEvent = {
          id: `${cause.id}/${index}`,
          type,
          aggregateType,
          aggregateId: cause.aggregateId,
          version: cause.version,
          schemaVersion: version,
          position: cause.position,
          occurredAt: cause.occurredAt.getTime(),
          metadata,
          metadataJson: toJson(metadata, 'metadata'),
          data: Buffer.from(toJson(data, 'data')),
        };
        const target = topic ?? `${settings.topics.prefix}.integration.${aggregateType}`;
        if (typeof type !== 'string' || type === '') throw new Error('an integration event needs a type');
        if (!isLegalTopic(target)) throw new Error(`'${target}' is no legal topic`);
        const formatted = formatEvent(settings.format, event, schemas?.idOf('integration', type));
        return { topic: target, key: key ?? cause.aggregateId, formatted, event };
      });
      drafts.push(...fresh);
    } catch (error) {
      const cause = events.at(-1)!;
      const { position, aggregateId, type } = cause;
      const reason = `its integration mapping failed: ${error instanceof Error ? error.message : String(error)}`;
      setAside.push(
        new TrunklineError('EventQuarantined', { position, aggregateType, aggregateId, eventType: type, reason }),
      );
    }
  }
}

const noMetadata: Metadata = {};

function refusal({ position, aggregateType, aggregateId, type }: OutEvent, reason: string): SetAside {
  return new TrunklineError('EventQuarantined', { position, aggregateType, aggregateId, eventType: type, reason });
}

/** Fills requests so that no partition gets more at once than its topic takes. */
class Packer {
  requests: OutRecord[][] = [[]];
  private readonly topics: Topics;
  private readonly partitionBytes = new Map<string, number>();
  private requestBytes = 0;

  constructor(topics: Topics) {
    this.topics = topics;
  }

  /** Undefined, or why the topic would not take it. */
  add({ topic, key, formatted: { value, headers } }: Draft): string | undefined {
    const state = this.topics.get(topic)!;
    const limit = Number(state.config.get('max.message.bytes') ?? defaultMessageBytes) - batchOverheadBytes;
    let bytes = recordOverheadBytes + 3 * key.length + value.length;
    for (const name in headers) bytes += headerOverheadBytes + name.length + 3 * headers[name]!.length;
    if (bytes > limit) return `${value.length} bytes are more than topic ${topic} takes (max.message.bytes)`;
    const partition = partitionOf(key, state.partitions);
    const place = `${topic}/${partition}`;
    const before = this.partitionBytes.get(place) ?? 0;
    if (before + bytes > limit || this.requestBytes + bytes > requestBytesLimit) this.next();
    this.partitionBytes.set(place, (this.partitionBytes.get(place) ?? 0) + bytes);
    this.requestBytes += bytes;
    this.push({ topic, partition, key, value, headers });
    return undefined;
  }

  push(record: OutRecord): void {
    this.requests.at(-1)!.push(record);
  }

  private next(): void {
    this.requests.push([]);
    this.partitionBytes.clear();
    this.requestBytes = 0;
  }
}
