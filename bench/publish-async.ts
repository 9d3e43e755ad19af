// What `publishAsync` costs the host thread, with a stream behind it, against `raise()` in a command.
import { createRuntime, kafka, newId } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import { withBroker } from './broker.ts';
import {
  answer,
  median,
  micros,
  onScratchFolder,
  percentiles,
  type Row,
  runAlone,
  type Suite,
  sized,
} from './measure.ts';
import { routed } from './payload.ts';

const burst = 16;

export const publishAsync: Suite = (settings) =>
  withBroker((broker, topics) =>
    onScratchFolder(async (dataDir): Promise<Row[]> => {
      const stream = kafka({ brokers: [broker], topics });
      await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1, stream });
      const probe = runtime.ref(Probe, 'raise').with({ metadata: { correlationId: 'bench-1', source: 'bench' } });
      const [publish, raise]: [number[], number[]] = [[], []];
      const metadata = { correlationId: 'bench-1', source: 'bench' };
      const data = routed(1);
      for (let round = 0; round < sized(settings, { smoke: 2, quick: 40, full: 300 }); round++) {
        const samples: number[] = [];
        for (let i = 0; i < (settings.smoke ? 2 : 50); i++) {
          const aggregateId = newId();
          const start = performance.now();
          for (let n = 0; n < burst; n++) {
            runtime.publisher.publishAsync({
              aggregateType: 'entity',
              aggregateId,
              type: 'CallRouted',
              data,
              metadata,
            });
          }
          samples.push(((performance.now() - start) * 1000) / burst);
        }
        publish.push(percentiles(samples).p50);
        raise.push((await probe.timeRaise(settings.smoke ? 2 : 50)).value.raise.p50);
        await runtime.reached('stored');
      }
      return [
        answer(
          'publish-ratio-kafka',
          publish.map((value, i) => value / raise[i]!),
          `${micros(median(publish))} against ${micros(median(raise))}, bursts of ${burst} in turn`,
        ),
      ];
    }),
  );

await runAlone(import.meta.url, publishAsync);
