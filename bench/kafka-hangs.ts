// What a command costs while the broker hangs (SIGSTOP), against a broker that runs, in turn.
import { createRuntime, kafka } from '../src/index.ts';
import { Kafka } from '../test/kafka.ts';
import { Probe } from './aggregates.ts';
import {
  answer,
  interleave,
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

export const kafkaHangs: Suite = (settings) =>
  onScratchFolder(async (dataDir): Promise<Row[]> => {
    const broker = await Kafka.start();
    try {
      const stream = kafka({ brokers: [broker.address], requestTimeoutMs: 2000 });
      await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1, stream });
      const probe = runtime.ref(Probe, 'one');
      const p99 = async (): Promise<number> => {
        const samples: number[] = [];
        for (let i = 0; i < sized(settings, { smoke: 5, quick: 500, full: 2000 }); i++) {
          const start = performance.now();
          await probe.route(routed(i));
          samples.push((performance.now() - start) * 1000);
        }
        return percentiles(samples).p99;
      };
      await p99();
      const { a: hanging, b: running } = await interleave(
        roundsOf(settings, 10),
        async () => {
          broker.freeze();
          try {
            return await p99();
          } finally {
            broker.thaw();
          }
        },
        async () => {
          await runtime.reached('published');
          return p99();
        },
      );
      return [
        answer(
          'kafka-hangs',
          hanging.map((value, i) => value / running[i]!),
          `${micros(median(hanging))} against ${micros(median(running))}`,
        ),
      ];
    } finally {
      broker.thaw();
      await broker.stop();
    }
  });

await runAlone(import.meta.url, kafkaHangs);
