// The port on @platformatic/kafka: `client: 'platformatic'`, an optional peer of ours. A producer is told explicitly that it
// has no id yet; by its defaults (0 and epoch 0) the broker would take it for an old producer and fence the wrong one. And
// it never ends a transaction twice: a first request to end one, late, could end the transaction after it (KIP-890).
import {
  Admin,
  Consumer,
  findErrorBy,
  type MessageToProduce,
  type Producer as NativeProducer,
  Producer,
  type RecordsBatch,
} from '@platformatic/kafka';
import type { KafkaSettings } from '../kafka.ts';
import {
  type FaultKind,
  type InRecord,
  type OutRecord,
  type Reading,
  type Requests,
  type StreamClient,
  StreamFault,
  sendInTurn,
  type TopicSpec,
  type TopicState,
  type TransactionalProducer,
} from '../stream.ts';

type Base = ConstructorParameters<typeof Admin>[0];
type Text = NativeProducer<string, Buffer, string, string>;

const replicasMost = 3;
const topicResource = 2;
const setOperation = 0;
const readUncommitted = 0;
const readCommitted = 1;
const latest = -1n;
const earliest = -2n;
const transactionalFlag = 0x10;
const controlFlag = 0x20;
const abortMarker = 0;
const maxWaitMs = 100;
const fetchBytes = 4 << 20;
const retries = 3;
const producerRetries = 8; // while the broker still ends the transaction before
const retryDelayMs = (attempt: number): number => Math.min(5 * 2 ** attempt, 500);

export class PlatformaticClient implements StreamClient {
  private readonly settings: KafkaSettings;
  private readonly base: Base;
  private admin: Admin | undefined;

  constructor(settings: KafkaSettings) {
    this.settings = settings;
    this.base = {
      clientId: settings.clientId,
      bootstrapBrokers: [...settings.brokers],
      timeout: settings.requestTimeoutMs,
      requestTimeout: settings.requestTimeoutMs,
      connectTimeout: settings.connectTimeoutMs,
      retries,
      retryDelay: (_client, _operation, attempt) => retryDelayMs(attempt),
      autocreateTopics: false,
    };
    if (settings.ssl) this.base.tls = settings.ssl === true ? {} : settings.ssl;
    if (settings.sasl) {
      const { mechanism, username, password } = settings.sasl;
      this.base.sasl = { mechanism: mechanism.toUpperCase() as 'PLAIN', username, password };
    }
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
          if (!findErrorBy(error as Error, 'apiId', 'TOPIC_ALREADY_EXISTS')) throw error;
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
    const producer: Text = new Producer({
      ...this.base,
      retryDelay: (_client, operation, attempt) => {
        if (operation === 'endTransaction') queueMicrotask(() => void producer.close(true).catch(() => {}));
        return retryDelayMs(attempt);
      },
      // It is what the broker is told of how long a transaction may stand.
      timeout: this.settings.transactionTimeoutMs,
      requestTimeout: this.settings.requestTimeoutMs,
      retries: producerRetries,
      transactionalId,
      idempotent: true,
      producerId: -1n,
      producerEpoch: -1,
      serializers,
      compression: this.settings.compression,
    });
    return new PlatformaticProducer(producer);
  }

  async send({ topic, partition, key, value, headers }: OutRecord): Promise<void> {
    const producer: Text = new Producer({ ...this.base, serializers });
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
    const until = Date.now() + this.settings.transactionTimeoutMs + this.settings.requestTimeoutMs;
    try {
      const metadata = await inOurWords(consumer.metadata({ topics: [topic] }));
      const { id: topicId, partitions } = metadata.topics.get(topic)!;
      let next = from;
      while (Date.now() < until) {
        const wanted = { partition, currentLeaderEpoch: -1, fetchOffset: next, lastFetchedEpoch: -1 };
        const { responses } = await inOurWords(
          consumer.fetch({
            node: partitions[partition]!.leader,
            topics: [{ topicId, partitions: [{ ...wanted, partitionMaxBytes: fetchBytes }] }],
            isolationLevel: committedOnly ? readCommitted : readUncommitted,
            maxWaitTime: maxWaitMs,
            minBytes: 1,
            maxBytes: fetchBytes,
          }),
        );
        const data = responses[0]?.partitions[0];
        const batches = data?.records ?? [];
        for (const record of committed(batches, data?.abortedTransactions ?? [], next)) if (visit(record)) return;
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
      throw new StreamFault(kindOf(error as Error), error);
    }
  }
}

class PlatformaticProducer implements TransactionalProducer {
  private readonly producer: Text;

  constructor(producer: Text) {
    this.producer = producer;
  }

  async transaction(requests: Requests): Promise<void> {
    const transaction = await inOurWords(this.producer.beginTransaction());
    await sendInTurn(requests, (records) =>
      inOurWords(transaction.send({ messages: records as MessageToProduce<string, Buffer, string, string>[] })),
    );
    await inOurWords(transaction.commit());
  }

  abandon(): void {
    this.producer.close(true).catch(() => {});
  }
}

const utf8 = (text?: string): Buffer | undefined => (text === undefined ? undefined : Buffer.from(text));
const serializers = { key: utf8, value: (value?: Buffer) => value, headerKey: utf8, headerValue: utf8 };

/** The library hands out what was aborted, too: told apart here, by the markers and the broker's list. */
function* committed(
  batches: readonly RecordsBatch[],
  aborted: readonly { producerId: bigint; firstOffset: bigint }[],
  from: bigint,
): Iterable<InRecord> {
  const waiting = [...aborted].sort((a, b) => Number(a.firstOffset - b.firstOffset));
  const open = new Set<bigint>();
  for (const { attributes, firstOffset, lastOffsetDelta, producerId, records } of batches) {
    const end = firstOffset + BigInt(lastOffsetDelta);
    while (waiting.length > 0 && waiting[0]!.firstOffset <= end) open.add(waiting.shift()!.producerId);
    if (attributes & controlFlag) {
      if (records[0]?.key?.readInt16BE(2) === abortMarker) open.delete(producerId);
      continue;
    }
    if (attributes & transactionalFlag && open.has(producerId)) continue;
    for (const { key, value, offsetDelta } of records) {
      const offset = firstOffset + BigInt(offsetDelta);
      if (offset >= from) yield { key: String(key), value: String(value ?? ''), offset };
    }
  }
}

const kinds: readonly (readonly [FaultKind, readonly string[]])[] = [
  ['fenced', ['INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED', 'TRANSACTION_COORDINATOR_FENCED']],
  ['too-large', ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']],
  [
    'denied',
    [
      'SASL_AUTHENTICATION_FAILED',
      'TOPIC_AUTHORIZATION_FAILED',
      'CLUSTER_AUTHORIZATION_FAILED',
      'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
    ],
  ],
];

function kindOf(error: Error): FaultKind {
  if (error instanceof StreamFault) return error.kind;
  for (const [kind, ids] of kinds) if (ids.some((id) => findErrorBy(error, 'apiId', id))) return kind;
  if (findErrorBy(error, 'code', 'PLT_KFK_AUTHENTICATION')) return 'denied';
  const isAway = ['PLT_KFK_NETWORK', 'PLT_KFK_TIMEOUT'].some((code) => findErrorBy(error, 'code', code));
  return isAway ? 'unavailable' : 'failed';
}

async function inOurWords<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw new StreamFault(kindOf(error as Error), error);
  }
}
