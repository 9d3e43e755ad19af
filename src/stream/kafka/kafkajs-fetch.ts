// Reading a partition from an offset with kafkajs, without a consumer group. In public it reads by groups only: to join one
// takes three seconds on a broker as it comes, and asks for rights that a publisher need not have. So this reaches behind
// its door, to the classes that its own consumer is made of. They are those of 2.2.4, which package.json names exactly.
import { createRequire } from 'node:module';
import type { KafkaConfig } from 'kafkajs';
import type { Reading } from '../stream.ts';

const require = createRequire(import.meta.url);
const Cluster = require('kafkajs/src/cluster/index.js');
const Batch = require('kafkajs/src/consumer/batch.js');
const socketFactory = require('kafkajs/src/network/socketFactory.js');
const { createLogger } = require('kafkajs/src/loggers/index.js');

const readUncommitted = 0;
const readCommitted = 1;
const maxWaitMs = 100;
const fetchBytes = 4 << 20;

/** Visit records until `visit` says true; false if that did not happen until `until`, as `performance.now()` tells it. */
export async function fetchUntil(config: KafkaConfig, reading: Reading, until: number): Promise<boolean> {
  const { topic, partition, visit } = reading;
  const isolationLevel = reading.committedOnly ? readCommitted : readUncommitted;
  const cluster = new Cluster({
    ...config,
    socketFactory: socketFactory(),
    logger: createLogger({ level: 0, logCreator: () => () => {} }),
    enforceRequestTimeout: true,
    allowAutoTopicCreation: false,
    metadataMaxAge: 300_000,
    isolationLevel,
    offsets: new Map(),
  });
  try {
    await cluster.connect();
    await cluster.addTargetTopic(topic);
    const leaders: Record<string, number[]> = cluster.findLeaderForPartitions(topic, [partition]);
    const broker = await cluster.findBroker({ nodeId: Object.keys(leaders)[0] });
    let next = reading.from;
    while (performance.now() < until) {
      const { responses } = await broker.fetch({
        isolationLevel,
        maxWaitTime: maxWaitMs,
        maxBytes: fetchBytes,
        topics: [{ topic, partitions: [{ partition, fetchOffset: String(next), maxBytes: fetchBytes }] }],
      });
      const data = responses[0]?.partitions[0];
      if (!data) continue;
      const batch = new Batch(topic, String(next), data);
      for (const { key, value, offset } of batch.messages) {
        if (visit({ key: String(key), value: String(value ?? ''), offset: BigInt(offset) })) return true;
      }
      const last = data.messages.at(-1);
      if (last && BigInt(last.offset) >= next) next = BigInt(last.offset) + 1n;
    }
    return false;
  } finally {
    cluster.disconnect().catch(() => {});
  }
}
