// A stream with topics of its own on the broker that the run's tests share, and what tests do with it.
import { randomUUID } from 'node:crypto';
import kafkajs from 'kafkajs';
import { afterEach } from 'vitest';
import { kafka, type Runtime, type RuntimeOptions, type StreamOptions } from '../../src/index.ts';
import type { KafkaOptions } from '../../src/kafka.ts';
import { sharedKafka } from '../brokers.ts';
import { errorOf, startRuntime, until } from '../runtime/scratch.ts';
import { type Consumed, Reader } from './consume.ts';

export const clients: readonly NonNullable<KafkaOptions['client']>[] = ['kafkajs', 'platformatic'];

const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0)) await end();
});

export const atEnd = (end: () => Promise<unknown>): void => void endings.push(end);

export interface SetUp {
  broker: string;
  prefix: string;
  stream: StreamOptions;
  /** The same stream with other options. */
  streamWith(options: Partial<KafkaOptions>): StreamOptions;
  /** Records of the topics (default: the counters') once there are so many. */
  records(count: number, ...topics: string[]): Promise<readonly Consumed[]>;
  admin(): Promise<kafkajs.Admin>;
}

export async function setUp(options: Partial<KafkaOptions> = {}, at?: string): Promise<SetUp> {
  const broker = at ?? (await sharedKafka());
  const prefix = `t-${randomUUID()}`;
  const streamWith = (more: Partial<KafkaOptions>): StreamOptions =>
    kafka({
      brokers: [broker],
      ...options,
      ...more,
      topics: { prefix, partitions: 3, internalPrefix: `${prefix}.own`, ...options.topics, ...more.topics },
    });
  const records = async (count: number, ...topics: string[]): Promise<readonly Consumed[]> => {
    const reader = await Reader.start(broker, topics.length > 0 ? topics : [`${prefix}.counter`]);
    try {
      await until(
        () => reader.records.length,
        (length) => length >= count,
      );
      return reader.records;
    } finally {
      await reader[Symbol.asyncDispose]();
    }
  };
  const admin = async (): Promise<kafkajs.Admin> => {
    const client = new kafkajs.Kafka({ brokers: [broker], logLevel: kafkajs.logLevel.NOTHING }).admin();
    await client.connect();
    atEnd(() => client.disconnect());
    return client;
  };
  return { broker, prefix, stream: streamWith({}), streamWith, records, admin };
}

/** A logger that keeps the errors it is given. */
export function keepingLogger() {
  const errors: { code: string; message: string; details: any }[] = [];
  const keep = (details: { err?: any }): void => void (details.err && errors.push(details.err));
  return { errors, logger: { debug() {}, info() {}, warn: keep, error: keep } as never };
}

/** Why the stream cannot be: the start is refused, or, where a busy machine takes longer to find out, `published` is. */
export async function refusalOf(options: Partial<RuntimeOptions>): ReturnType<typeof errorOf> {
  let runtime: Runtime | undefined;
  try {
    return await errorOf(startRuntime(options).then((started) => (runtime = started).reached('published')));
  } finally {
    await runtime?.close().catch(() => {}); // what made it fail has been told
  }
}
