// What a command costs while the broker hangs (SIGSTOP), against a broker that runs, in turn.
import { createRuntime, kafka } from '../src/index.ts';
import { Kafka } from '../test/kafka.ts';
import { Probe } from './aggregates.ts';
import {
  interleave,
  median,
  micros,
  onScratchFolder,
  percentiles,
  type Row,
  runAlone,
  type Suite,
  times,
} from './measure.ts';
import { routed } from './payload.ts';

export const kafkaHangs: Suite = ({ smoke }) =>
  onScratchFolder(async (dataDir): Promise<Row[]> => {
    const broker = await Kafka.start();
    try {
      const stream = kafka({ brokers: [broker.address], requestTimeoutMs: 2000 });
      await using runtime = await createRuntime({ dataDir, aggregates: [Probe], shards: 1, stream });
      const probe = runtime.ref(Probe, 'one');
      const p99 = async (): Promise<number> => {
        const samples: number[] = [];
        for (let i = 0; i < (smoke ? 5 : 2000); i++) {
          const start = performance.now();
          await probe.route(routed(i));
          samples.push((performance.now() - start) * 1000);
        }
        return percentiles(samples).p99;
      };
      await p99();
      const { a: hanging, b: running } = await interleave(
        smoke ? 1 : 10,
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
      const ratio = median(hanging) / median(running);
      return [
        {
          measure: 'a command waiting for written while the broker hangs / while it runs, p99',
          asked: '≤ 1.5 ×',
          measured: times(ratio),
          holds: ratio <= 1.5,
          detail: `${micros(median(hanging))} against ${micros(median(running))}`,
        },
      ];
    } finally {
      broker.thaw();
      await broker.stop();
    }
  });

await runAlone(import.meta.url, kafkaHangs);
