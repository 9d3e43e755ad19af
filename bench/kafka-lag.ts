// How long after `written` a read_committed consumer sees an event, at a steady rate; for both clients. The consumer is
// kafkajs in this thread, so its own time counts too.
import kafkajs from 'kafkajs';
import { createRuntime, type KafkaOptions, kafka } from '../src/index.ts';
import { Kafka } from '../test/kafka.ts';
import { Probe } from './aggregates.ts';
import { onScratchFolder, percentiles, type Row, runAlone, type Suite } from './measure.ts';
import { routed } from './payload.ts';

const perSecond = 2000;
const tickMs = 5;

async function lags(client: KafkaOptions['client'], broker: string, events: number): Promise<number[]> {
  const prefix = `lag-${client}`;
  return onScratchFolder(async (dataDir) => {
    const stream = kafka({ brokers: [broker], client, topics: { prefix } });
    await using runtime = await createRuntime({ dataDir, aggregates: [Probe], shards: 1, stream });
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
    for (let sent = 1; sent < events; ) {
      const due = Math.min(events, Math.ceil(((performance.now() - start) / 1000) * perSecond));
      for (; sent < due; sent++) void one(sent);
      await new Promise((resolve) => setTimeout(resolve, tickMs));
    }
    while (seen.size < events) await new Promise((resolve) => setTimeout(resolve, tickMs));
    await consumer.disconnect();
    return [...written].slice(1).map(([id, at]) => seen.get(id)! - at);
  });
}

export const kafkaLag: Suite = async ({ smoke }) => {
  const broker = await Kafka.start();
  try {
    const rows: Row[] = [];
    for (const client of ['kafkajs', 'platformatic'] as const) {
      const { p50, p99 } = percentiles(await lags(client, broker.address, smoke ? 50 : 20_000));
      rows.push({
        measure: `written → seen by a read_committed consumer at ${perSecond} events/s (${client}), p99`,
        asked: '≤ 100 ms',
        measured: `${p99.toFixed(0)} ms`,
        holds: p99 <= 100,
        detail: `p50 ${p50.toFixed(0)} ms`,
      });
    }
    return rows;
  } finally {
    await broker.stop();
  }
};

await runAlone(import.meta.url, kafkaLag);
