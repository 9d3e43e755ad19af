// From a batch of the log to the records of one transaction: which events are published, where, in which form, and in how
// many requests, since a topic bounds the bytes of what it takes at once. What cannot be published is set aside with the
// reason; the rest goes on.

import { checkId, checkInteger } from '../../base/checks.ts';
import { TrunklineError } from '../../base/errors.ts';
import { NAME_BYTES_LIMIT } from '../../base/name-limits.ts';
import { tame } from '../../base/tame.ts';
import type { Batch } from '../../log/sink.ts';
import { decodeEvent, type StoredEvent } from '../../model/event.ts';
import { FrameFlag, FrameKind, FrameReader } from '../../wire/frame.ts';
import type { Metadata } from '../../wire/metadata.ts';
import { metadataIn } from '../../wire/metadata.ts';
import { plainToJson, toJson } from '../../wire/payload.ts';
import { type Formatted, formatEvent, type OutEvent } from './format.ts';
import { type IntegrationEvent, integrationName } from './integration.ts';
import type { Integrations } from './integrations.ts';
import type { KafkaSettings } from './kafka-options.ts';
import { Packer } from './packer.ts';
import type { Publishing } from './publishing.ts';
import type { Schemas } from './schemas.ts';
import type { Shapes } from './shapes.ts';
import type { OutRecord } from './stream.ts';
import type { TopicClaims } from './topic-claims.ts';
import {
  eventTopic,
  integrationTopicOf,
  isLegalTopic,
  quarantineTopicOf,
  type TopicName,
  type Topics,
} from './topics.ts';
import type { Published } from './versions.ts';

/** An event that is not published, as the quarantine topic and the logger get it. */
export type SetAside = TrunklineError<'EventQuarantined'>;

interface Draft {
  topic: string;
  key: string;
  formatted: Formatted;
  event: OutEvent;
  /** It came by the outbox: a database role may have made up its type. */
  isRelayed: boolean;
}

const draftsAtOnce = 250;

export interface PlannerParts {
  settings: KafkaSettings;
  topicOf: TopicName;
  topics: Topics;
  claims: TopicClaims;
  schemas: Schemas | undefined;
  integrations: Integrations;
  publishing: Publishing;
  published: Published;
  shapes: Shapes;
}

/** What of a batch one transaction publishes: the positions behind `after`, to the end of a command at `to`. */
export interface Part {
  readonly after: number;
  readonly to: number;
  /** Why the broker takes none of it. */
  readonly refusal?: string | undefined;
}

/** Where a part that holds `span` positions, or one command's at least, ends. */
export function endOfPart(batch: Batch, after: number, span: number): number {
  if (span >= batch.toPosition - after) return batch.toPosition;
  const frame = new FrameReader(batch.bytes).at(0);
  for (let position = batch.fromPosition; position < batch.toPosition; position++) {
    if (position >= after + span && frame.isLast) return position;
    frame.at(frame.next);
  }
  return batch.toPosition;
}

export class Planner {
  private readonly parts: PlannerParts;

  constructor(parts: PlannerParts) {
    this.parts = parts;
  }

  /**
   * Requests for everything in the part of the batch, the last one with the checkpoint; made one at a time, so that one is
   * in flight while the next is made. What is set aside is added to `setAside`: with a `refusal`, all of it.
   */
  async *requests(
    batch: Batch,
    part: Part,
    setAside: SetAside[],
    checkpoint: OutRecord,
  ): AsyncGenerator<readonly OutRecord[]> {
    const { settings, topics } = this.parts;
    const packer = new Packer(topics);
    for (const drafts of this.drafts(batch, part, setAside)) {
      const unknown = new Set<string>();
      for (const { topic } of drafts) if (!topics.get(topic)) unknown.add(topic);
      const specs = [...unknown].map((topic) => eventTopic(topic, settings.topics));
      const ofOutbox = unknown; // those that no other event asks for
      for (const { topic, isRelayed } of drafts) if (!isRelayed) ofOutbox.delete(topic);
      const refused = await topics.find(specs, ofOutbox);
      for (const draft of drafts) {
        const reason = part.refusal ?? refused.get(draft.topic) ?? packer.add(draft);
        if (reason !== undefined) setAside.push(refusal(draft.event, reason));
      }
      yield* packer.takeFull();
    }
    const quarantine = quarantineTopicOf(settings.topics);
    for (const { details } of setAside) {
      const formatted = { value: Buffer.from(JSON.stringify(details)), headers: {} };
      packer.add({ topic: quarantine, key: details.aggregateId, formatted });
      yield* packer.takeFull();
    }
    yield packer.end(checkpoint);
  }

  /** Some at a time. */
  private *drafts(batch: Batch, { after, to }: Part, setAside: SetAside[]): Generator<Draft[]> {
    const { integrations } = this.parts;
    const frame = new FrameReader(batch.bytes);
    // The events of the current command that some mapping wants, by aggregate.
    const wanted = new Map<string, StoredEvent[]>();
    let drafts: Draft[] = [];
    // Of that command, which may be a slice of the outbox.
    let isRelayed = false;
    let offset = 0;
    for (let position = batch.fromPosition; position <= to; position++) {
      frame.at(offset);
      offset = frame.next;
      if (position > after && frame.kind === FrameKind.event) {
        const { aggregateType } = frame;
        isRelayed = isOfOutbox(frame);
        try {
          if (integrations.concerns(aggregateType)) {
            const event = decodeEvent(frame, position);
            const key = `${aggregateType}\n${event.aggregateId}`;
            const ofOne = wanted.get(key);
            if (ofOne === undefined) wanted.set(key, [event]);
            else ofOne.push(event);
          }
          this.draftOne(frame, aggregateType, position, drafts, setAside);
        } catch (error) {
          const { aggregateId, name: type } = frame;
          setAside.push(
            refusal({ position, aggregateType, aggregateId, type }, `it cannot be formatted: ${tame(error)}`),
          );
        }
      }
      if (!frame.isLast) continue;
      for (const events of wanted.values()) this.integrate(events, isRelayed, drafts, setAside);
      wanted.clear();
      if (drafts.length < draftsAtOnce) continue;
      yield drafts;
      drafts = [];
    }
    yield drafts;
  }

  private draftOne(
    frame: FrameReader,
    aggregateType: string,
    position: number,
    drafts: Draft[],
    setAside: SetAside[],
  ): void {
    const { publishing, published, shapes } = this.parts;
    const { name: type, metadataJson } = frame;
    if (!publishing.isOn(aggregateType, type)) return;
    const event: OutEvent = {
      id: frame.id,
      type,
      aggregateType,
      aggregateId: frame.aggregateId,
      version: frame.version,
      schemaVersion: frame.schemaVersion,
      position,
      occurredAt: frame.occurredAt,
      metadata: metadataIn(metadataJson),
      metadataJson: metadataJson === '' ? '{}' : metadataJson,
      data: frame.dataBytes,
    };
    const isRelayed = isOfOutbox(frame);
    const forms = published.formsOf(aggregateType, type);
    if (forms === undefined) {
      this.draftAs(event, isRelayed, drafts, setAside);
      return;
    }
    for (const [index, form] of forms.entries()) {
      try {
        this.draftAs(shapes.of(event, form, index), isRelayed, drafts, setAside);
      } catch (error) {
        // The event's other versions go out.
        setAside.push(refusal(event, `its version ${form.schemaVersion} cannot be made: ${tame(error)}`));
      }
    }
  }

  private draftAs(event: OutEvent, isRelayed: boolean, drafts: Draft[], setAside: SetAside[]): void {
    const { settings, topicOf, claims, schemas } = this.parts;
    const { aggregateType, type } = event;
    let topic: string;
    try {
      topic = topicOf(aggregateType, type);
    } catch (error) {
      setAside.push(refusal(event, `its topic cannot be determined: ${tame(error)}`));
      return;
    }
    const schemaId = schemas?.idOf(aggregateType, type, event.schemaVersion);
    const obstacle = this.topicFault(topic) ?? claims.obstacle(topic, aggregateType, isRelayed);
    if (obstacle !== undefined) setAside.push(refusal(event, obstacle));
    else if (schemas && schemaId === undefined) {
      setAside.push(refusal(event, `its version ${event.schemaVersion} has no schema in the registry`));
    } else {
      const formatted = formatEvent(settings.format, event, schemaId);
      drafts.push({ topic, key: event.aggregateId, formatted, event, isRelayed });
    }
  }

  /** Why no event at all may have it. */
  private topicFault(topic: unknown): string | undefined {
    if (!isLegalTopic(topic)) return `'${tame(topic)}' is no legal topic`;
    return this.parts.topics.isOwn(topic) ? `'${topic}' is one of the stream's own topics` : undefined;
  }

  /** The events that one command raised on one aggregate. */
  private integrate(events: readonly StoredEvent[], isRelayed: boolean, drafts: Draft[], setAside: SetAside[]): void {
    const [{ aggregateType }] = events as [StoredEvent];
    try {
      const made = this.parts.integrations.map(aggregateType, events);
      const fresh = made.map(({ event, cause }, index) => ({
        ...this.integrationDraft(event, aggregateType, cause, index),
        isRelayed,
      }));
      drafts.push(...fresh.filter(({ event: { type } }) => this.parts.publishing.isOn(integrationName, type)));
    } catch (error) {
      const cause = events.at(-1)!;
      const { position, aggregateId, type } = cause;
      const reason = `its integration mapping failed: ${tame(error)}`;
      setAside.push(
        new TrunklineError('EventQuarantined', { position, aggregateType, aggregateId, eventType: type, reason }),
      );
    }
  }

  /** Throws whatever makes it no event for the outside. */
  private integrationDraft(
    made: IntegrationEvent,
    aggregateType: string,
    cause: StoredEvent,
    index: number,
  ): Omit<Draft, 'isRelayed'> {
    const { settings, schemas } = this.parts;
    const { type, version = 1, data, topic, key = cause.aggregateId, source } = made;
    const { aggregateId } = cause;
    checkId('the type of an integration event', type, NAME_BYTES_LIMIT);
    checkId('the key of an integration event', key);
    checkInteger('version of an integration event', version, 1, 65535);
    if (typeof (source ?? '') !== 'string') throw new Error('the source of an integration event must be text');
    const metadata: Metadata = {
      ...cause.metadata,
      correlationId: cause.metadata.correlationId ?? cause.id,
      causationId: cause.id,
      source: source ?? cause.metadata.source ?? settings.clientId,
    };
    // Not by the clients' door: the log has let the cause's in, with words that no client may say (the role of raise_event).
    const metadataJson = plainToJson(metadata, 'metadata');
    const event: OutEvent = {
      id: `${cause.id}/${index}`,
      type,
      aggregateType,
      aggregateId,
      version: cause.version,
      schemaVersion: version,
      position: cause.position,
      occurredAt: cause.occurredAt.getTime(),
      metadata,
      metadataJson,
      data: Buffer.from(toJson(data, 'data')),
    };
    const target = topic ?? integrationTopicOf(settings.topics, aggregateType);
    const fault = this.topicFault(target);
    if (fault !== undefined) throw new Error(fault);
    const schemaId = schemas?.idOf(integrationName, type, version);
    if (schemas && schemaId === undefined) throw new Error(`'${type}' has no schema in the registry`);
    return { topic: target, key, formatted: formatEvent(settings.format, event, schemaId), event };
  }
}

const isOfOutbox = (frame: FrameReader): boolean => (frame.flags & FrameFlag.alreadyStored) !== 0;

type Named = Pick<OutEvent, 'position' | 'aggregateType' | 'aggregateId' | 'type'>;

function refusal({ position, aggregateType, aggregateId, type }: Named, reason: string): SetAside {
  return new TrunklineError('EventQuarantined', { position, aggregateType, aggregateId, eventType: type, reason });
}
