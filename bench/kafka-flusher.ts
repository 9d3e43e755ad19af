// The flusher from the log to Kafka, transactions and checkpoints included, against bare transactional sends of the same
// records by the same client, at the best of three batch sizes; both clients in one run on one broker.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../src/adapters/kafka/connect.ts';
import { Integrations } from '../src/adapters/kafka/integrations.ts';
import type { KafkaSettings } from '../src/adapters/kafka/kafka-options.ts';
import { Planner } from '../src/adapters/kafka/plan.ts';
import { Publishing } from '../src/adapters/kafka/publishing.ts';
import { resolveKafka } from '../src/adapters/kafka/settings.ts';
import { Shapes } from '../src/adapters/kafka/shapes.ts';
import { createSink } from '../src/adapters/kafka/sink.ts';
import type { OutRecord } from '../src/adapters/kafka/stream.ts';
import { TopicClaims } from '../src/adapters/kafka/topic-claims.ts';
import { eventTopic, ownTopics, Topics, topicNaming } from '../src/adapters/kafka/topics.ts';
import { Published } from '../src/adapters/kafka/versions.ts';
import { BatchBuffer } from '../src/flush/batch.ts';
import { Flusher } from '../src/flush/flusher.ts';
import { createRuntime, newId } from '../src/index.ts';
import type { KafkaOptions } from '../src/kafka.ts';
import { mapBytesFor, openLogReader } from '../src/log/lmdb.ts';
import type { LogSource } from '../src/log/log.ts';
import { declaredEvents } from '../src/model/catalogue.ts';
import { Evolution } from '../src/model/evolution.ts';
import { Probe } from './aggregates.ts';
import { withBroker } from './broker.ts';
import {
  answer,
  median,
  onScratchFolder,
  type Row,
  roundsOf,
  runAlone,
  type Suite,
  sized,
  thousands,
} from './measure.ts';

type Client = NonNullable<KafkaOptions['client']>;

const logBytes = 1 << 30;
const batchSizes = [500, 1000, 5000];
const perAggregate = 100;
/** What a client may put into one request, so that each partition's share stays below the broker's 1 MiB for a batch. */
const recordsInRequest = 2000;

const noCheckpoint: OutRecord = { topic: '', partition: 0, key: '', value: Buffer.alloc(0), headers: {} };

/** A log of so many events; returns its last position. */
async function fill(dataDir: string, events: number): Promise<number> {
  const log = { maxBytes: logBytes, retainBytes: logBytes / 2 };
  await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1, log });
  for (let left = events; left > 0; left -= perAggregate) await runtime.ref(Probe, newId()).routeMany(perAggregate);
  await runtime.reached('stored');
  return runtime.status().written;
}

/** From a sink that has published its first events (bare sends begin with one, too) to the last position, events/s. */
async function flush(settings: KafkaSettings, dataDir: string, log: LogSource, last: number): Promise<number> {
  const logId = newId();
  mkdirSync(join(dataDir, logId));
  const info = {
    name: 'kafka',
    dataDir: join(dataDir, logId),
    logId,
    firstPosition: 1,
    lastPosition: 0,
    events: declaredEvents([Probe]),
    report() {},
    setAside() {},
  };
  const sink = await createSink(settings, info);
  let limit = 0;
  let done = (): void => {};
  const flusher = new Flusher({
    name: 'kafka',
    sink,
    log,
    limit: () => limit,
    batchFrames: 5000,
    onPosition: (position) => position === limit && done(),
  });
  const upTo = async (position: number): Promise<void> => {
    const ended = new Promise<void>((resolve) => {
      done = resolve;
    });
    limit = position;
    flusher.wake();
    await ended;
  };
  const run = flusher.run();
  await flusher.tried;
  await upTo(perAggregate);
  const start = performance.now();
  await upTo(last);
  const rate = (last - perAggregate) / ((performance.now() - start) / 1000);
  flusher.stop();
  await run;
  return rate;
}

/** The records that the flusher would send, made beforehand. */
async function recordsOf(settings: KafkaSettings, log: LogSource, last: number): Promise<OutRecord[]> {
  const client = await connect(settings);
  const memory = { use: (found: ReadonlyMap<string, number>) => new Map(found) };
  const topics = new Topics(client, settings.topics, memory, () => {});
  await topics.ensure([...ownTopics(settings.topics), eventTopic(`${settings.topics.prefix}.probe`, settings.topics)]);
  const topicOf = await topicNaming(settings.topics);
  const publishing = new Publishing([], 'publishing', {});
  const integrations = new Integrations([]);
  const [published, shapes] = [new Published([], {}), new Shapes(Evolution.none)];
  const claims = new TopicClaims([], [], topicOf, settings.topics);
  const kept = { claims, integrations, publishing, published, shapes };
  const planner = new Planner({ settings, topicOf, topics, schemas: undefined, ...kept });
  const batch = new BatchBuffer();
  const records: OutRecord[] = [];
  for (batch.begin(1); batch.toPosition < last; batch.begin(batch.toPosition + 1)) {
    batch.take(log.read(batch.fromPosition)!, last);
    for await (const request of planner.requests(batch, { after: 0, to: batch.toPosition }, [], noCheckpoint)) {
      records.push(...request.filter((record) => record !== noCheckpoint));
    }
  }
  await client.close();
  return records;
}

const slices = <T>(all: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));

/** Transactions of so many records each, one after the other, records/s. */
async function bare(settings: KafkaSettings, records: readonly OutRecord[], size: number): Promise<number> {
  const client = await connect(settings);
  const producer = await client.producer(`bare-${newId()}`);
  await producer.transaction([records.slice(0, 1)]);
  const start = performance.now();
  for (const batch of slices(records, size)) await producer.transaction(slices(batch, recordsInRequest));
  const rate = records.length / ((performance.now() - start) / 1000);
  producer.abandon();
  await client.close();
  return rate;
}

export const kafkaFlusher: Suite = (settings) =>
  withBroker((broker, topics) =>
    onScratchFolder(async (dataDir): Promise<Row[]> => {
      const last = await fill(dataDir, sized(settings, { smoke: 200, quick: 10_000, full: 60_000 }));
      const log = openLogReader(join(dataDir, 'log'), mapBytesFor(logBytes));
      const rates: Record<Client, { flusher: number[]; bare: number[] }> = {
        kafkajs: { flusher: [], bare: [] },
        platformatic: { flusher: [], bare: [] },
      };
      const settingsOf = (client: Client): KafkaSettings => resolveKafka({ brokers: [broker], client, topics });
      try {
        const records = await recordsOf(settingsOf('kafkajs'), log, last);
        for (let round = settings.smoke ? 1 : 0; round <= roundsOf(settings, 5); round++) {
          for (const client of Object.keys(rates) as Client[]) {
            const flusher = await flush(settingsOf(client), dataDir, log, last);
            const best = [];
            for (const size of batchSizes) best.push(await bare(settingsOf(client), records, size));
            if (round === 0) continue; // warm
            rates[client].flusher.push(flusher);
            rates[client].bare.push(Math.max(...best));
          }
        }
      } finally {
        await log.close();
      }
      const row = (client: Client, budget: string): Row =>
        answer(
          budget,
          rates[client].flusher.map((rate, i) => rate / rates[client].bare[i]!),
          `${thousands(median(rates[client].flusher))} events/s against ${thousands(median(rates[client].bare))} records/s, the best of batches of ${batchSizes.join(', ')}`,
        );
      const between = rates.platformatic.flusher.map((rate, i) => rate / rates.kafkajs.flusher[i]!);
      return [
        row('kafkajs', 'kafka-flush'),
        row('platformatic', 'kafka-flush-platformatic'),
        answer('kafka-clients', between, 'the same log, the same broker, in turn'),
      ];
    }),
  );

await runAlone(import.meta.url, kafkaFlusher);
