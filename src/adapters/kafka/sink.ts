// Kafka as a sink of the log. One batch is one transaction, which holds the messages and the checkpoint. Imported by the
// flush thread, by its URL.
//
//   closed ── begin ──▶ open ── write, committed ──▶ open
//      ▲                 │
//      └── abandon ◀─────┘  any error: whether it was committed is unknown
//
// `begin`: a new transactional producer, which fences every other one of this log; its first transaction says who it is;
// then the checkpoint is read up to that very record. So after any error the next attempt knows what has been committed,
// and the batch is written again or not. Invariants: nothing is published but behind the checkpoint that was read; no
// checkpoint is believed that this log cannot have written (see `settle`); a process that has been fenced by another one
// does not fence it back.

import { TrunklineError } from '../../base/errors.ts';
import { orAborted, pauseUnless } from '../../base/on-abort.ts';
import { randomUUID } from '../../base/random.ts';
import { tame } from '../../base/tame.ts';
import { importUserModule } from '../../base/user-module.ts';
import type { Batch, Sink, SinkInfo } from '../../log/sink.ts';
import { Checkpoint, type Found, noteFile, readNote, writeNote } from './checkpoint.ts';
import { connect } from './connect.ts';
import { checkIntegrations, Integrations } from './integrations.ts';
import type { KafkaSettings } from './kafka-options.ts';
import { PartitionMemory } from './partition-memory.ts';
import { endOfPart, type Part, Planner, type PlannerParts, type SetAside } from './plan.ts';
import { Publishing } from './publishing.ts';
import { Schemas } from './schemas.ts';
import { checkPublishing } from './settings.ts';
import { Shapes } from './shapes.ts';
import { type Requests, type StreamClient, StreamFault, type TransactionalProducer } from './stream.ts';
import { TopicClaims } from './topic-claims.ts';
import {
  checkpointTopicOf,
  declaredTopics,
  eventTopic,
  ownTopics,
  type TopicName,
  Topics,
  topicNaming,
  transactionalIdOf,
} from './topics.ts';
import { Published } from './versions.ts';

const clockRemedy =
  "set the clocks of this machine and of the brokers right, or widen the topic's message.timestamp.before.max.ms and after.max.ms";
const requestsMost = 3; // that a transaction may have to wait for, at their longest

export async function createSink(options: unknown, info: SinkInfo): Promise<Sink> {
  const settings = options as KafkaSettings;
  const topicOf = await topicNaming(settings.topics);
  const published = new Published(info.events, settings.versions);
  declaredTopics(published.events, topicOf, settings.topics); // refuses names that Kafka would not take
  const publishing = new Publishing(info.events, 'stream.publishing', settings.publishing);
  const client = await connect(settings);
  const integrations = await integrationsOf(settings.integration);
  const shapes = await Shapes.load(info.events, published);
  return new KafkaSink(settings, info, client, topicOf, { integrations, publishing, published, shapes });
}

async function integrationsOf(module: string | undefined): Promise<Integrations> {
  if (module === undefined) return new Integrations([]);
  return new Integrations(checkIntegrations((await importUserModule(module)).default));
}

class KafkaSink implements Sink {
  readonly takesParts = true;
  private readonly settings: KafkaSettings;
  private readonly info: SinkInfo;
  private readonly client: StreamClient;
  private readonly topicOf: TopicName;
  private readonly topics: Topics;
  private readonly claims: TopicClaims;
  private readonly schemas: Schemas | undefined;
  private readonly planner: Planner;
  private readonly publishing: Publishing;
  private readonly published: Published;
  private readonly noteFile: string;
  private checkpoint: Checkpoint | undefined;
  private producer: TransactionalProducer | undefined;
  /** The last position that is published, as far as is known. */
  private held = 0;
  /** Where the last transaction, of which the outcome may not be known, would have brought it. */
  private attempted = 0;
  /** What that transaction passes over: told when it is committed. */
  private setAside: SetAside[] = [];
  /** The log has been ours in this run: look whether it still is before fencing another producer. */
  private hasOwned = false;
  /** `held` is known: from here on no other producer moves it. */
  private isSettled = false;

  constructor(
    settings: KafkaSettings,
    info: SinkInfo,
    client: StreamClient,
    topicOf: TopicName,
    mapping: Pick<PlannerParts, 'integrations' | 'publishing' | 'published' | 'shapes'>,
  ) {
    this.settings = settings;
    this.info = info;
    this.client = client;
    this.topicOf = topicOf;
    this.noteFile = noteFile(info.dataDir, info.name);
    const memory = new PartitionMemory(info.dataDir, info.name);
    this.topics = new Topics(client, settings.topics, memory, (drift) =>
      info.report(new TrunklineError('TopicDrift', { ...drift })),
    );
    this.schemas = settings.registry && new Schemas(settings.registry, settings.format);
    this.publishing = mapping.publishing;
    this.published = mapping.published;
    const { integrations, published } = mapping;
    this.claims = new TopicClaims(published.events, integrations.aggregateTypes, topicOf, settings.topics);
    const { topics, claims, schemas } = this;
    this.planner = new Planner({ settings, topicOf, topics, claims, schemas, ...mapping });
  }

  open(): Promise<number> {
    return this.guarded(async () => {
      await this.begin();
      return this.held;
    });
  }

  write(batch: Batch, signal: AbortSignal): Promise<number> {
    const work = this.guarded(async () => {
      for (let span = Number.POSITIVE_INFINITY, refusal: string | undefined; ; ) {
        if (!this.producer) await this.begin();
        if (this.held < batch.fromPosition - 1 && !batch.followsLoss) {
          throw this.invalid(`it says ${this.held}, and ${batch.fromPosition - 1} had been published`);
        }
        if (this.held >= batch.toPosition) return this.held;
        const part = { after: this.held, to: endOfPart(batch, this.held, span), refusal };
        try {
          await this.publish(batch, part);
          [span, refusal] = [2 * span, undefined];
        } catch (error) {
          if (!isRefusal(error) || refusal !== undefined) throw error;
          // Less and less, until the one command is found that the broker never takes: that one is set aside.
          this.abandon();
          if (endOfPart(batch, part.after, 1) === part.to) refusal = tame(error);
          else span = Math.max(1, (part.to - part.after) >> 1);
        }
      }
    });
    return orAborted(work, signal);
  }

  private async publish(batch: Batch, part: Part): Promise<void> {
    this.attempted = part.to;
    this.setAside = [];
    await this.commit(this.planner.requests(batch, part, this.setAside, this.checkpoint!.record(part.to)));
    this.moveTo(part.to);
  }

  private moveTo(position: number): void {
    if (position === this.attempted && this.setAside.length > 0) this.info.setAside(this.setAside);
    this.setAside = [];
    this.held = position;
    this.attempted = position;
  }

  async close(): Promise<void> {
    if (this.producer) this.note();
    this.producer?.abandon();
    await this.client.close();
  }

  configure(change: unknown): void {
    const publishing = checkPublishing('publishing', (change as { publishing?: unknown }).publishing);
    this.publishing.change('publishing', publishing);
  }

  private async begin(): Promise<void> {
    const { settings, info, client, topics, published } = this;
    const own = ownTopics(settings.topics);
    await topics.ensure(own);
    const declared = declaredTopics(published.events, this.topicOf, settings.topics);
    await topics.ensure(declared.map((topic) => eventTopic(topic, settings.topics)));
    await topics.reserve(this.claims.integrationTopics);
    await this.schemas?.prepare(published.events, this.topicOf);
    const topic = checkpointTopicOf(settings.topics);
    const { partitions } = topics.get(topic)!;
    this.checkpoint ??= new Checkpoint({ client, topic, partitions, logId: info.logId, dataDir: info.dataDir });
    if (this.hasOwned) await this.refuseToFenceBack();
    this.producer = await client.producer(transactionalIdOf(settings.topics, info.logId));
    const turn = randomUUID();
    await this.commit([[this.checkpoint.ownerRecord(turn)]]);
    const found = await this.checkpoint.read(turn);
    this.hasOwned = true;
    this.moveTo(await this.settle(found));
    this.isSettled = true;
    this.note();
  }

  /** At the beginning and at the end; in between it would cost a sync of the disk each time. */
  private note(): void {
    const { logId } = this.info;
    const topic = checkpointTopicOf(this.settings.topics);
    writeNote(this.noteFile, { logId, topic, position: this.held });
  }

  /** A client may go on trying for longer than is of use: what it is still at is abandoned, and fenced by the next. */
  private async commit(requests: Requests): Promise<void> {
    const boundMs = Math.min(this.settings.transactionTimeoutMs, requestsMost * this.settings.requestTimeoutMs);
    const timer = new AbortController();
    const late = pauseUnless(timer.signal, boundMs).then((isOver) => {
      if (isOver) throw new StreamFault('unavailable', `no end of a transaction within ${boundMs} ms`);
    });
    const transaction = this.producer!.transaction(requests);
    transaction.catch(() => {});
    try {
      await Promise.race([transaction, late]);
    } finally {
      timer.abort();
    }
  }

  /**
   * How far the log is published, by what was found in the topic; nothing is believed that the log itself contradicts. In
   * a run that has settled this before, the checkpoint stands where it stood, or where the last transaction would have
   * brought it; at the start, between the note's position and the log's end.
   */
  private async settle({ position, invalid }: Found): Promise<number> {
    const { info, held, attempted } = this;
    if (this.isSettled) {
      if (position !== undefined && (position === held || position === attempted)) return position;
      if (position === undefined && invalid === undefined) throw this.missing('it is gone');
      throw this.invalid(invalid ?? `it says ${position}, and this run has published up to ${held}`);
    }
    const noted = readNote(this.noteFile, info.logId, info.lastPosition);
    if (position !== undefined && position > info.lastPosition) {
      const topic = checkpointTopicOf(this.settings.topics);
      const reason = `it ends at position ${info.lastPosition}, and topic ${topic} says that ${position} was published`;
      throw new TrunklineError('LogDamaged', { dataDir: info.dataDir, reason });
    }
    const doubt = noted !== undefined && position !== undefined && position < noted;
    if (position !== undefined && !doubt) return position;
    return this.firstCheckpoint(noted, doubt ? `it says ${position}, and ${noted} had been published` : invalid);
  }

  /** No checkpoint that can be believed is there: has there ever been one? */
  private async firstCheckpoint(noted: number | undefined, invalid: string | undefined): Promise<number> {
    const { resumeAfter } = this.settings;
    const { lastPosition, firstPosition } = this.info;
    const isMeant = resumeAfter !== undefined && resumeAfter >= (noted ?? 0);
    if (!isMeant) {
      const after = resumeAfter === undefined ? '' : `, so resumeAfter ${resumeAfter} would publish again`;
      if (invalid !== undefined) throw this.invalid(`${invalid}${after}`);
      if (noted !== undefined) {
        throw this.missing(`it holds no checkpoint of this log; position ${noted} had been published${after}`);
      }
    }
    const start = resumeAfter ?? Math.max(0, firstPosition - 1);
    if (start > lastPosition) {
      const reason = `lies beyond the log's end, ${lastPosition}: what comes next would not be published`;
      throw new TrunklineError('InvalidOptions', { option: 'stream.resumeAfter', value: start, reason });
    }
    await this.commit([[this.checkpoint!.record(start)]]);
    return start;
  }

  /**
   * Whatever went wrong, another process may have taken the log over since: its own record tells. (The errors do not: a
   * process that was frozen finds its requests timed out, and a broker that gave up on a transaction says `fenced`.)
   */
  private async refuseToFenceBack(): Promise<void> {
    const owner = await this.checkpoint!.owner();
    const { name: stream, logId } = this.info;
    if (owner !== undefined && owner !== this.checkpoint!.instance) {
      throw new TrunklineError('StreamFenced', { stream, logId });
    }
  }

  private missing(reason: string): TrunklineError {
    const { name: stream, logId } = this.info;
    const topic = checkpointTopicOf(this.settings.topics);
    return new TrunklineError('CheckpointMissing', { stream, logId, topic, reason });
  }

  private invalid(reason: string): TrunklineError {
    const { name: stream, logId } = this.info;
    const topic = checkpointTopicOf(this.settings.topics);
    return new TrunklineError('CheckpointInvalid', { stream, logId, topic, reason });
  }

  /** After any error the producer is of no use, and what is known of topics may be old. */
  private async guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.abandon();
      throw this.typed(error);
    }
  }

  private abandon(): void {
    this.producer?.abandon();
    this.producer = undefined;
    this.topics.forget();
  }

  private typed(error: unknown): unknown {
    if (!(error instanceof StreamFault)) return error;
    const { name: stream } = this.info;
    const cause = error.message;
    if (error.kind === 'denied') return new TrunklineError('StreamDenied', { stream, cause }, { cause: error });
    if (error.kind === 'unavailable')
      return new TrunklineError('StreamUnavailable', { stream, cause }, { cause: error });
    const remedy = error.kind === 'clock' ? `; ${clockRemedy}` : '';
    return new TrunklineError(
      'SinkFailed',
      { sink: stream, cause: `${error.kind}: ${cause}${remedy}` },
      { cause: error },
    );
  }
}

/** Whether the broker says no to the records themselves, and would say so again. */
const isRefusal = (error: unknown): boolean =>
  error instanceof StreamFault && (error.kind === 'too-large' || error.kind === 'refused');
