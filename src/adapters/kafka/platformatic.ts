// The port on @platformatic/kafka, the default client (docs/adr/0001): an optional peer of ours.
import { Admin, type BaseOptions, Consumer, Producer, type RecordsBatch } from '@platformatic/kafka';
import { performance } from '../../base/clock.ts';
import { Decisions, markerOf, type Written } from './decisions.ts';
import type { KafkaSettings } from './kafka-options.ts';
import { connectionOptions } from './platformatic-connection.ts';
import { inOurWords, kindOf } from './platformatic-faults.ts';
import { PlatformaticProducer, retryDelayMs, serializers } from './platformatic-producer.ts';
import {
  errorsIn,
  type OutRecord,
  type Reading,
  type StreamClient,
  StreamFault,
  type TopicSpec,
  type TopicState,
  type TransactionalProducer,
} from './stream.ts';

const replicasMost = 3;
const topicResource = 2;
const setOperation = 0;
const readUncommitted = 0;
const latest = -1n;
const earliest = -2n;
const maxWaitMs = 100;
const fetchBytes = 4 << 20;
const transactionalFlag = 0x10;
const controlFlag = 0x20;
const retries = 3;

export class PlatformaticClient implements StreamClient {
  private readonly settings: KafkaSettings;
  private readonly base: BaseOptions;
  private admin: Admin | undefined;

  constructor(settings: KafkaSettings) {
    this.settings = settings;
    this.base = {
      ...connectionOptions(settings),
      timeout: settings.requestTimeoutMs,
      retries,
      retryDelay: (_client, _operation, attempt) => retryDelayMs(attempt),
      autocreateTopics: false,
    };
  }

  describeTopics(topics: readonly string[]): Promise<Map<string, TopicState>> {
    return this.ask(async (admin) => {
      const existing = new Set(await admin.listTopics());
      const names = topics.filter((topic) => existing.has(topic));
      const states = new Map<string, TopicState>();
      if (names.length === 0) return states;
      const metadata = await admin.metadata({ topics: names, forceUpdate: true });
      const resources = names.map((resourceName) => ({ resourceType: topicResource, resourceName }) as const);
      const described = await admin.describeConfigs({ resources });
      for (const name of names) {
        const { partitions } = metadata.topics.get(name)!;
        const configs = described.find(({ resourceName }) => resourceName === name)?.configs ?? [];
        const config = new Map(configs.map((entry) => [entry.name, entry.value ?? '']));
        const replicationFactor = partitions[0]?.replicas.length ?? 0;
        states.set(name, { partitions: partitions.length, replicationFactor, config });
      }
      return states;
    });
  }

  createTopics(specs: readonly TopicSpec[]): Promise<void> {
    return this.ask(async (admin) => {
      const { brokers } = await admin.metadata({ topics: [] });
      for (const { topic, partitions, replicationFactor, config } of specs) {
        const replicas = replicationFactor || Math.min(replicasMost, brokers.size);
        const configs = Object.entries(config).map(([name, value]) => ({ name, value }));
        try {
          await admin.createTopics({ topics: [topic], partitions, replicas, configs });
        } catch (error) {
          if (!errorsIn(error).some(({ apiId }) => apiId === 'TOPIC_ALREADY_EXISTS')) throw error;
        }
      }
    });
  }

  changeTopic(topic: string, partitions: number | undefined, config: Readonly<Record<string, string>>): Promise<void> {
    return this.ask(async (admin) => {
      if (partitions !== undefined) await admin.createPartitions({ topics: [{ name: topic, count: partitions }] });
      const configs = Object.entries(config).map(
        ([name, value]) => ({ name, value, configOperation: setOperation }) as const,
      );
      if (configs.length === 0) return;
      await admin.incrementalAlterConfigs({
        resources: [{ resourceType: topicResource, resourceName: topic, configs }],
      });
    });
  }

  async producer(transactionalId: string): Promise<TransactionalProducer> {
    return new PlatformaticProducer(this.base, transactionalId, this.settings);
  }

  async send({ topic, partition, key, value, headers }: OutRecord): Promise<void> {
    const producer = new Producer<string, Buffer, string, string>({ ...this.base, serializers });
    try {
      await inOurWords(producer.send({ messages: [{ topic, partition, key, value, headers }], acks: -1 }));
    } finally {
      producer.close(true).catch(() => {});
    }
  }

  offsets(topic: string, partition: number): Promise<{ first: bigint; next: bigint }> {
    return this.ask(async (admin) => {
      const at = async (timestamp: bigint): Promise<bigint> => {
        const topics = [{ name: topic, partitions: [{ partitionIndex: partition, timestamp }] }];
        return (await admin.listOffsets({ topics }))[0]!.partitions[0]!.offset;
      };
      return { first: await at(earliest), next: await at(latest) };
    });
  }

  async read({ topic, partition, from, committedOnly, visit }: Reading): Promise<void> {
    const consumer = new Consumer({ ...this.base, groupId: 'none-is-joined' });
    const until = performance.now() + this.settings.transactionTimeoutMs + this.settings.requestTimeoutMs;
    try {
      const metadata = await inOurWords(consumer.metadata({ topics: [topic] }));
      const { id: topicId, partitions } = metadata.topics.get(topic)!;
      const decisions = new Decisions();
      let next = from;
      while (performance.now() < until) {
        const wanted = { partition, currentLeaderEpoch: -1, fetchOffset: next, lastFetchedEpoch: -1 };
        const { responses } = await inOurWords(
          consumer.fetch({
            node: partitions[partition]!.leader,
            topics: [{ topicId, partitions: [{ ...wanted, partitionMaxBytes: fetchBytes }] }],
            isolationLevel: readUncommitted,
            maxWaitTime: maxWaitMs,
            minBytes: 1,
            maxBytes: fetchBytes,
          }),
        );
        const data = responses[0]?.partitions[0];
        const batches = data?.records ?? [];
        const written = batches.map((batch) => writtenOf(batch, next));
        const records = committedOnly ? decisions.committed(written) : written.flatMap((one) => one.records);
        for (const record of records) if (visit(record)) return;
        const last = batches.at(-1);
        if (last) next = last.firstOffset + BigInt(last.lastOffsetDelta) + 1n;
      }
      throw new StreamFault('unavailable', `no end of ${topic}/${partition} in sight`);
    } finally {
      consumer.close(true).catch(() => {});
    }
  }

  async close(): Promise<void> {
    await this.admin?.close().catch(() => {});
    this.admin = undefined;
  }

  private async ask<T>(question: (admin: Admin) => Promise<T>): Promise<T> {
    this.admin ??= new Admin(this.base);
    try {
      return await question(this.admin);
    } catch (error) {
      this.admin.close().catch(() => {});
      this.admin = undefined;
      throw new StreamFault(kindOf(error), error);
    }
  }
}

/** Without what lies before an offset: a fetch begins with a whole batch. */
function writtenOf({ attributes, producerId, firstOffset, records }: RecordsBatch, from: bigint): Written {
  const isControl = (attributes & controlFlag) !== 0;
  const inRecords = records
    .map(({ key, value, offsetDelta }) => {
      const offset = firstOffset + BigInt(offsetDelta);
      return { key: String(key), value: String(value ?? ''), offset };
    })
    .filter(({ offset }) => offset >= from);
  return {
    producerId: String(producerId),
    isTransactional: !isControl && (attributes & transactionalFlag) !== 0,
    marker: isControl ? markerOf(records[0]?.key) : undefined,
    records: isControl ? [] : inRecords,
  };
}
