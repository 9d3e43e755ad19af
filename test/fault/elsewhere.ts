// The servers of a family's run, each behind a proxy: PostgreSQL, Kafka, and a schema registry if wanted. A round gets a
// database and topics of its own; afterwards this reads what they hold, as anybody else would read them.
import { randomUUID } from 'node:crypto';
import kafkajs from 'kafkajs';
import pg from 'pg';
import { kafka, migrate, postgres, type RuntimeOptions, type StoredEvent } from '../../src/index.ts';
import type { KafkaOptions } from '../../src/kafka.ts';
import { areBrought, missingTools } from '../java-services.ts';
import { Kafka } from '../kafka.ts';
import { PostgresServer } from '../postgres-server.ts';
import { TcpProxy } from '../proxy.ts';
import { Registry } from '../registry.ts';
import { Reader } from '../stream/consume.ts';
import { freePorts } from '../watched.ts';
import { type Held, heldFrom } from './audit.ts';

/** Where a service's events go, as plain data. */
export interface ElsewhereSettings {
  /** Through the proxy, and straight. */
  connectionString: string;
  database: string;
  stream: KafkaOptions;
  topics: string;
}

/** Impatient, so that a fault of a second is one. */
const statementTimeoutMs = 1_000;
const loadTimeoutMs = 500;
export const transactionTimeoutMs = 1_000;
const requestTimeoutMs = 800;
const connectTimeoutMs = 500;
const readBoundMs = 60_000;
const anything = { type: 'object' };
const schemas = Object.fromEntries(
  ['counter.Added', 'counter.Stamped', 'counter.Checked', 'victim.Suffered', 'stock.Repriced'].map((name) => [
    name,
    anything,
  ]),
);

export const withoutServers = (): string | undefined => {
  const missing = missingTools() ?? (areBrought() ? undefined : 'Kafka');
  return missing === undefined ? undefined : `needs ${missing}: npm run services`;
};

/** The store and the stream of a runtime. */
export function storeAndStream({ connectionString, stream }: ElsewhereSettings): Partial<RuntimeOptions> {
  return { store: postgres({ connectionString, statementTimeoutMs, loadTimeoutMs }), stream: kafka(stream) };
}

export class Elsewhere implements AsyncDisposable {
  readonly postgres: PostgresServer;
  readonly kafka: Kafka;
  readonly registry: Registry | undefined;
  readonly ways: { postgres: TcpProxy; kafka: TcpProxy; registry?: TcpProxy | undefined };

  private constructor(server: PostgresServer, broker: Kafka, registry: Registry | undefined, ways: Elsewhere['ways']) {
    this.postgres = server;
    this.kafka = broker;
    this.registry = registry;
    this.ways = ways;
  }

  static async start({ registry: hasRegistry = false }: { registry?: boolean } = {}): Promise<Elsewhere> {
    const [way, port, controller] = (await freePorts(3)) as [number, number, number];
    const settings = {
      listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
      'controller.quorum.voters': `1@127.0.0.1:${controller}`,
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${way}`,
      'transaction.abort.timed.out.transaction.cleanup.interval.ms': '100',
    };
    const [server, broker, registry] = await Promise.all([
      PostgresServer.start(),
      Kafka.start(settings),
      hasRegistry ? Registry.start() : undefined,
    ]);
    return new Elsewhere(server, broker, registry, {
      postgres: await TcpProxy.before(server.port),
      kafka: await TcpProxy.before(port, way),
      registry: registry && (await TcpProxy.before(Number(new URL(registry.url).port))),
    });
  }

  /** A database and topics that nobody has used. */
  async fresh(client: KafkaOptions['client']): Promise<ElsewhereSettings> {
    const name = `fault_${randomUUID().replaceAll('-', '')}`;
    await query(this.postgres.url(), `create database ${name}`);
    const database = this.postgres.url(name);
    await migrate({ connection: database });
    const { registry, ways } = this;
    return {
      database,
      connectionString: ways.postgres.through(database),
      topics: name,
      stream: {
        brokers: [`127.0.0.1:${ways.kafka.port}`],
        ...(client && { client }),
        ...{ transactionTimeoutMs, requestTimeoutMs, connectTimeoutMs },
        topics: { prefix: name, partitions: 3, internalPrefix: `${name}.own` },
        ...(registry && { registry: { url: ways.registry!.through(registry.url), schemas } }),
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { postgres, kafka, registry, ways } = this;
    await Promise.all(Object.values(ways).map((way) => way?.[Symbol.asyncDispose]()));
    await Promise.all([postgres.stop(), kafka.stop(), registry?.stop()]);
  }
}

/** Rows of `domain_events` in the order in which they were written; and how many lie in quarantine instead. */
export async function readPostgres({ database }: ElsewhereSettings): Promise<{ held: Held[]; quarantined: number }> {
  const rows = await query(database, 'select * from trunkline.domain_events order by sequence');
  const [{ count }] = await query(database, 'select count(*)::int from trunkline.quarantined_events');
  const held = rows.map((row) =>
    heldFrom({
      id: row.id,
      position: Number(row.position),
      aggregateType: row.aggregate_type,
      aggregateId: row.aggregate_id,
      version: row.version,
      type: row.event_type,
      data: row.data,
      metadata: row.metadata ?? {},
      occurredAt: row.occurred_at,
      schemaVersion: row.schema_version,
    } as StoredEvent),
  );
  return { held, quarantined: count };
}

/**
 * What a `read_committed` consumer sees: all of it, because it reads until it has come to a record that we write behind
 * everything, in each partition.
 */
export async function readKafka({ stream, topics }: ElsewhereSettings): Promise<Held[]> {
  const broker = stream.brokers[0]!;
  const client = new kafkajs.Kafka({ brokers: [broker], logLevel: kafkajs.logLevel.NOTHING });
  const [admin, producer] = [client.admin(), client.producer()];
  await Promise.all([admin.connect(), producer.connect()]);
  const names = (await admin.listTopics()).filter((name) => name.startsWith(`${topics}.`) && !name.includes('.own'));
  const { topics: found } = await admin.fetchTopicMetadata({ topics: names });
  const ends = found.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionId }) => ({ topic: name, partition: partitionId })),
  );
  for (const { topic, partition } of ends) {
    await producer.send({ topic, messages: [{ partition, key: endKey, value: '{}' }] });
  }
  await Promise.all([admin.disconnect(), producer.disconnect()]);
  const reader = await Reader.start(broker, names);
  try {
    const isEnd = ({ key }: { key: string }): boolean => key === endKey;
    for (const until = Date.now() + readBoundMs; reader.records.filter(isEnd).length < ends.length; ) {
      if (Date.now() > until) throw new Error(`a read_committed consumer does not come to the end of ${topics}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return reader.records
      .filter((record) => !isEnd(record))
      .map(({ value }) => heldFrom(JSON.parse(String(value[0] === 0 ? value.subarray(5) : value)) as StoredEvent));
  } finally {
    await reader[Symbol.asyncDispose]();
  }
}

const endKey = 'the end';

async function query(connectionString: string, sql: string): Promise<any[]> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
