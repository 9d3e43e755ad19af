// How long after `written` a read_committed consumer sees an event, at a steady rate; for both clients. The consumer is
// kafkajs in this thread, so its own time counts too.
import kafkajs from 'kafkajs';
import { createRuntime, kafka } from '../src/index.ts';
import type { KafkaOptions } from '../src/kafka.ts';
import { Probe } from './aggregates.ts';
import { withBroker } from './broker.ts';
import {
  answer,
  median,
  micros,
  onScratchFolder,
  percentiles,
  type Row,
  roundsOf,
  runAlone,
  type Suite,
  sized,
} from './measure.ts';
import { routed } from './payload.ts';

const perSecond = 2000;
const tickMs = 5;

/** Of as many seconds as `events` make, once it has run at that rate for as long as `warmUp` events make. */
async function lags(
  client: KafkaOptions['client'],
  broker: string,
  { warmUp, events }: { warmUp: number; events: number },
  prefix: string,
): Promise<number[]> {
  const wanted = warmUp + events;
  return onScratchFolder(async (dataDir) => {
    const stream = kafka({ brokers: [broker], client, topics: { prefix } });
    await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1, stream });
    const reader = new kafkajs.Kafka({ brokers: [broker], logLevel: kafkajs.logLevel.NOTHING });
    const consumer = reader.consumer({ groupId: prefix, maxWaitTimeInMs: 100 });
    const seen = new Map<string, number>();
    await consumer.connect();
    await consumer.subscribe({ topics: [`${prefix}.probe`], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      async eachMessage({ message }) {
        seen.set(String(message.headers!['event-id']), performance.now());
      },
    });
    const written = new Map<string, number>();
    const one = async (i: number): Promise<void> => {
      const { events: raised } = await runtime.ref(Probe, `p${i % 100}`).route(routed(i));
      written.set(raised[0]!.id, performance.now());
    };
    await one(0);
    while (seen.size === 0) await new Promise((resolve) => setTimeout(resolve, tickMs));
    const start = performance.now();
    for (let sent = 1; sent < wanted; ) {
      const due = Math.min(wanted, Math.ceil(((performance.now() - start) / 1000) * perSecond));
      for (; sent < due; sent++) void one(sent);
      await new Promise((resolve) => setTimeout(resolve, tickMs));
    }
    while (seen.size < wanted) await new Promise((resolve) => setTimeout(resolve, tickMs));
    await consumer.disconnect();
    return [...written].slice(warmUp).map(([id, at]) => seen.get(id)! - at);
  });
}

export const kafkaLag: Suite = (settings) =>
  withBroker(async (broker, topics) => {
    const events = sized(settings, { smoke: 50, quick: 2000, full: 8000 });
    // A new topic's first transactions, and a consumer's first looks, take tenths of a second; then each round is steady.
    const spell = { warmUp: sized(settings, { smoke: 10, quick: 2000, full: 4000 }), events };
    const rounds: Record<'kafkajs' | 'platformatic', number[]> = { kafkajs: [], platformatic: [] };
    for (let round = 0; round < roundsOf(settings, 5); round++) {
      for (const client of ['kafkajs', 'platformatic'] as const) {
        const prefix = `${topics.prefix}.${client}-${round}`;
        rounds[client].push(percentiles(await lags(client, broker, spell, prefix)).p99 * 1000);
      }
    }
    const row = (client: keyof typeof rounds, budget: string): Row =>
      answer(budget, rounds[client], `${client}, ${perSecond} events/s; p99 ${micros(median(rounds[client]))}`);
    return [row('kafkajs', 'kafka-lag'), row('platformatic', 'kafka-lag-platformatic')];
  });

await runAlone(import.meta.url, kafkaLag);
