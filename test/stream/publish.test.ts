import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { isError, kafka, type KafkaOptions } from '../../src/index.ts';
import { sharedKafka } from '../brokers.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { Reader } from './consume.ts';

const readers: Reader[] = [];
afterEach(async () => {
  for (const reader of readers.splice(0)) await reader[Symbol.asyncDispose]();
});

const clients: NonNullable<KafkaOptions['client']>[] = ['kafkajs'];

describe.each(clients)('%s', (client) => {
  /** A stream with topics of its own. */
  const setUp = async (options: Partial<KafkaOptions> = {}) => {
    const broker = await sharedKafka();
    const prefix = `t-${randomUUID()}`;
    const stream = kafka({ brokers: [broker], client, ...options, topics: { prefix, partitions: 3, ...options.topics } });
    const read = async (...topics: string[]): Promise<Reader> => {
      const reader = await Reader.start(broker, topics.length > 0 ? topics : [`${prefix}.counter`]);
      readers.push(reader);
      return reader;
    };
    return { broker, prefix, stream, read };
  };

  test('every event once, in order per aggregate, over restarts; a command can wait for it', async () => {
    const { stream, read } = await setUp();
    const dataDir = scratchFolder();
    for (let run = 0; run < 3; run++) {
      const runtime = await startRuntime({ dataDir, stream });
      await Promise.all(Array.from({ length: 30 }, (_, i) => runtime.ref(Counter, `c${i % 7}`).addMany(3)));
      const receipt = await runtime.ref(Counter, 'last').with({ ack: 'published' }).add(1);
      expect(runtime.status().published).toBeGreaterThanOrEqual(receipt.position);
      await receipt.reached('published');
      await runtime.reached('published');
      await runtime.close();
    }
    const reader = await read();
    await until(
      () => reader.records.length,
      (count) => count >= 273,
    );
    expect(reader.records).toHaveLength(273);
    const versions = new Map<string, number>();
    const partitions = new Map<string, number>();
    for (const { key, partition, headers } of reader.records) {
      expect(Number(headers['aggregate-version'])).toBe((versions.get(key) ?? 0) + 1);
      versions.set(key, Number(headers['aggregate-version']));
      expect(partitions.get(key) ?? partition).toBe(partition);
      partitions.set(key, partition);
    }
  });
});

test('without a stream, waiting for `published` is a typed error', async () => {
  const runtime = await startRuntime();
  const counter = runtime.ref(Counter, 'c');
  expect(await errorOf(counter.with({ ack: 'published' }).add(1))).toMatchObject({ code: 'InvalidOptions' });
  const receipt = await counter.add(1);
  for (const error of [await errorOf(receipt.reached('published')), await errorOf(runtime.reached('published'))]) {
    expect(isError(error, 'InvalidOptions')).toBe(true);
  }
  expect(await errorOf(runtime.setPublishing({ counter: false }))).toMatchObject({ code: 'InvalidOptions' });
});
