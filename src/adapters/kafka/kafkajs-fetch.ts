// Reading a partition from an offset with kafkajs, without a consumer group. In public it reads by groups only: to join one
// takes three seconds on a broker as it comes, and asks for rights that a publisher need not have. So this reaches behind
// its door, to the classes that its own consumer is made of. They are those of 2.2.4, so another version is refused when it
// is loaded: package.json lets others in, since a service may have one for itself beside another client for us.
import { createRequire } from 'node:module';
import type { KafkaConfig } from 'kafkajs';
import { performance } from '../../base/clock.ts';
import { Decisions, markerOf, type Written } from './decisions.ts';
import type { InRecord, Reading } from './stream.ts';

const require = createRequire(import.meta.url);
const supported = '2.2.4';
checkVersion((require('kafkajs/package.json') as { version: string }).version);
const Cluster = require('kafkajs/src/cluster/index.js');
const socketFactory = require('kafkajs/src/network/socketFactory.js');
const { createLogger } = require('kafkajs/src/loggers/index.js');

const readUncommitted = 0;
const maxWaitMs = 100;
const fetchBytes = 4 << 20;

/** @throws it is another version */
export function checkVersion(version: string): void {
  if (version !== supported)
    throw new Error(
      `kafkajs ${version} is installed, and what is needed behind its door is known of ${supported} only`,
    );
}

/** Visit records until `visit` says true; false if that did not happen until `until`, as `performance.now()` tells it. */
export async function fetchUntil(config: KafkaConfig, reading: Reading, until: number): Promise<boolean> {
  const { topic, partition, visit } = reading;
  const cluster = new Cluster({
    ...config,
    socketFactory: socketFactory(),
    logger: createLogger({ level: 0, logCreator: () => () => {} }),
    enforceRequestTimeout: true,
    allowAutoTopicCreation: false,
    metadataMaxAge: 300_000,
    isolationLevel: readUncommitted,
    offsets: new Map(),
  });
  try {
    await cluster.connect();
    await cluster.addTargetTopic(topic);
    const leaders: Record<string, number[]> = cluster.findLeaderForPartitions(topic, [partition]);
    const broker = await cluster.findBroker({ nodeId: Object.keys(leaders)[0] });
    const decisions = new Decisions();
    let next = reading.from;
    while (performance.now() < until) {
      const { responses } = await broker.fetch({
        isolationLevel: readUncommitted,
        maxWaitTime: maxWaitMs,
        maxBytes: fetchBytes,
        topics: [{ topic, partitions: [{ partition, fetchOffset: String(next), maxBytes: fetchBytes }] }],
      });
      const fetched: readonly Fetched[] = responses[0]?.partitions[0]?.messages ?? [];
      const written = fetched.filter(({ offset }) => BigInt(offset) >= next).map(writtenOf);
      const records = reading.committedOnly ? decisions.committed(written) : written.flatMap((one) => one.records);
      for (const record of records) if (visit(record)) return true;
      const last = fetched.at(-1);
      if (last && BigInt(last.offset) >= next) next = BigInt(last.offset) + 1n;
    }
    return false;
  } finally {
    cluster.disconnect().catch(() => {});
  }
}

/** A record as kafkajs decodes it, with what its batch says. */
interface Fetched {
  key: Buffer | null;
  value: Buffer | null;
  offset: string;
  isControlRecord: boolean;
  batchContext: { producerId: string; inTransaction: boolean };
}

function writtenOf({ key, value, offset, isControlRecord, batchContext }: Fetched): Written {
  const { producerId, inTransaction: isTransactional } = batchContext;
  const record: InRecord = { key: String(key), value: String(value ?? ''), offset: BigInt(offset) };
  if (!isControlRecord) return { producerId, isTransactional, marker: undefined, records: [record] };
  return { producerId, isTransactional: false, marker: markerOf(key), records: [] };
}
