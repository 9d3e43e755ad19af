// The port on kafkajs: `client: 'kafkajs'`, an optional peer of ours. `initialRetryTime` matters: by its default of 300 ms every
// transaction would wait that follows another one closely.
import kafkajs, {
  type Admin,
  type KafkaConfig,
  type Message,
  type Producer,
  type RecordMetadata,
  type TopicMessages,
} from 'kafkajs';
import { performance } from '../../base/clock.ts';
import './kafkajs-quiet.ts';
import type { KafkaSettings } from './kafka-options.ts';
import { inOurWords, kindOf } from './kafkajs-faults.ts';
import { fetchUntil } from './kafkajs-fetch.ts';
import { kafkajsSasl } from './kafkajs-sasl.ts';
import {
  type OutRecord,
  type Reading,
  type Requests,
  type StreamClient,
  StreamFault,
  sendInTurn,
  type TopicSpec,
  type TopicState,
  type TransactionalProducer,
} from './stream.ts';

const { CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = kafkajs;
const replicasMost = 3;

export class KafkajsClient implements StreamClient {
  private readonly settings: KafkaSettings;
  private readonly config: KafkaConfig;
  private readonly kafka: InstanceType<typeof Kafka>;
  private admin: Admin | undefined;

  constructor(settings: KafkaSettings) {
    this.settings = settings;
    this.config = {
      brokers: [...settings.brokers],
      clientId: settings.clientId,
      connectionTimeout: settings.connectTimeoutMs,
      authenticationTimeout: settings.connectTimeoutMs,
      requestTimeout: settings.requestTimeoutMs,
      // How long before a session ends it authenticates again. Brokers refuse that twice within a second: by its
      // default of 10 s, one with shorter sessions would refuse it at every request.
      reauthenticationThreshold: Math.min(settings.connectTimeoutMs, 10_000),
      retry: { initialRetryTime: 5, multiplier: 2, factor: 0.2, maxRetryTime: 500, retries: 8 },
      logLevel: logLevel.NOTHING,
    };
    if (settings.ssl !== undefined) this.config.ssl = settings.ssl;
    if (settings.sasl) this.config.sasl = kafkajsSasl(settings.sasl, settings.connectTimeoutMs);
    this.kafka = new Kafka(this.config);
  }

  describeTopics(topics: readonly string[]): Promise<Map<string, TopicState>> {
    return this.ask(async (admin) => {
      const existing = new Set(await admin.listTopics());
      const names = topics.filter((topic) => existing.has(topic));
      const states = new Map<string, TopicState>();
      if (names.length === 0) return states;
      const { topics: found } = await admin.fetchTopicMetadata({ topics: names });
      const { resources } = await admin.describeConfigs({
        includeSynonyms: false,
        resources: names.map((name) => ({ type: ConfigResourceTypes.TOPIC, name })),
      });
      for (const { name, partitions } of found) {
        const entries = resources.find(({ resourceName }) => resourceName === name)?.configEntries ?? [];
        const config = new Map(entries.map(({ configName, configValue }) => [configName, configValue]));
        const replicationFactor = partitions[0]?.replicas.length ?? 0;
        states.set(name, { partitions: partitions.length, replicationFactor, config });
      }
      return states;
    });
  }

  createTopics(specs: readonly TopicSpec[]): Promise<void> {
    return this.ask(async (admin) => {
      const { brokers } = await admin.describeCluster();
      // It does not wait for their leaders: while it does, it takes a topic that is too new for one that is not there.
      await admin.createTopics({
        waitForLeaders: false,
        topics: specs.map(({ topic, partitions, replicationFactor, config }) => ({
          topic,
          numPartitions: partitions,
          replicationFactor: replicationFactor || Math.min(replicasMost, brokers.length),
          configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
        })),
      });
    });
  }

  changeTopic(topic: string, partitions: number | undefined, config: Readonly<Record<string, string>>): Promise<void> {
    return this.ask(async (admin) => {
      if (partitions !== undefined) await admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] });
      const wanted = Object.entries(config);
      if (wanted.length === 0) return;
      // The request replaces all: what was set by others is said again.
      const { resources } = await admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }],
      });
      const kept = resources[0]!.configEntries
        .filter((entry) => isSetOnTopic(entry) && !(entry.configName in config))
        .map(({ configName, configValue }) => ({ name: configName, value: configValue }));
      const configEntries = [...kept, ...wanted.map(([name, value]) => ({ name, value }))];
      await admin.alterConfigs({
        validateOnly: false,
        resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }],
      });
    });
  }

  async producer(transactionalId: string): Promise<TransactionalProducer> {
    const producer = this.kafka.producer({
      transactionalId,
      idempotent: true,
      maxInFlightRequests: 1,
      transactionTimeout: this.settings.transactionTimeoutMs,
      allowAutoTopicCreation: false,
      createPartitioner: () => givenPartition,
    });
    await inOurWords(producer.connect());
    return new KafkajsProducer(producer, this.settings.compression === 'gzip');
  }

  async send(record: OutRecord): Promise<void> {
    const producer = this.kafka.producer({ allowAutoTopicCreation: false, createPartitioner: () => givenPartition });
    try {
      await inOurWords(producer.connect());
      const messages = [record];
      const { topic } = record;
      const answers = await inOurWords(producer.send({ topic, acks: -1, messages }));
      checkAllAnswered([{ topic, messages }], answers);
    } finally {
      await producer.disconnect().catch(() => {});
    }
  }

  offsets(topic: string, partition: number): Promise<{ first: bigint; next: bigint }> {
    return this.ask(async (admin) => {
      const found = (await admin.fetchTopicOffsets(topic)).find((one) => one.partition === partition)!;
      return { first: BigInt(found.low), next: BigInt(found.high) };
    });
  }

  async read(reading: Reading): Promise<void> {
    const until = performance.now() + this.settings.transactionTimeoutMs + this.settings.requestTimeoutMs;
    if (await inOurWords(fetchUntil(this.config, reading, until))) return;
    throw new StreamFault('unavailable', `no end of ${reading.topic}/${reading.partition} in sight`);
  }

  async close(): Promise<void> {
    await this.admin?.disconnect().catch(() => {});
    this.admin = undefined;
  }

  /** The administrator's connection is made again after every failure. */
  private async ask<T>(question: (admin: Admin) => Promise<T>): Promise<T> {
    try {
      if (!this.admin) {
        const admin = this.kafka.admin();
        await admin.connect();
        this.admin = admin;
      }
      return await question(this.admin);
    } catch (error) {
      this.admin?.disconnect().catch(() => {});
      this.admin = undefined;
      throw new StreamFault(kindOf(error), error);
    }
  }
}

class KafkajsProducer implements TransactionalProducer {
  private readonly producer: Producer;
  private readonly compression: number;

  constructor(producer: Producer, gzip: boolean) {
    this.producer = producer;
    this.compression = gzip ? CompressionTypes.GZIP : CompressionTypes.None;
  }

  async transaction(requests: Requests): Promise<void> {
    const transaction = await inOurWords(this.producer.transaction());
    await sendInTurn(requests, (records) => {
      const topics = new Map<string, Message[]>();
      for (const record of records) {
        const messages = topics.get(record.topic);
        if (messages) messages.push(record);
        else topics.set(record.topic, [record]);
      }
      const topicMessages = [...topics].map(([topic, messages]) => ({ topic, messages }));
      return inOurWords(
        transaction
          .sendBatch({ acks: -1, compression: this.compression, topicMessages })
          .then((answers) => checkAllAnswered(topicMessages, answers)),
      );
    });
    await inOurWords(transaction.commit());
  }

  abandon(): void {
    this.producer.disconnect().catch(() => {});
  }
}

/**
 * kafkajs leaves out, in silence, records for a partition that its metadata do not know (any more): of a topic that has
 * been made again with fewer. Who has answered tells. @throws StreamFault
 */
function checkAllAnswered(sent: readonly TopicMessages[], answers: readonly RecordMetadata[]): void {
  const answered = new Map<string, Set<number>>();
  for (const { topicName, partition } of answers) {
    const partitions = answered.get(topicName);
    if (partitions) partitions.add(partition);
    else answered.set(topicName, new Set([partition]));
  }
  for (const { topic, messages } of sent) {
    const partitions = answered.get(topic);
    for (const { partition } of messages) {
      if (partitions?.has(partition!)) continue;
      throw new StreamFault('failed', new Error(`topic ${topic} has no partition ${partition} any more`));
    }
  }
}

const givenPartition = ({ message }: { message: Message }): number => message.partition!;

const setOnTopic = 1; // by Kafka's numbers of configuration sources

/** Older brokers say only whether it is a default. */
function isSetOnTopic(entry: { isDefault: boolean; configSource?: number | string }): boolean {
  return entry.configSource === undefined ? !entry.isDefault : Number(entry.configSource) === setOnTopic;
}
