// Commands per second spread over 1,000 to 1,000,000 aggregates: beyond 100,000 they do not all fit, and some are loaded.
import { createRuntime } from '../../src/index.ts';
import { Probe } from '../aggregates.ts';
import { median, onScratchFolder, pipelined } from '../measure.ts';
import { routed } from '../payload.ts';
import { runScaleAlone, type ScaleRun, type Series } from './scale.ts';

export const aggregates: ScaleRun = (smoke) =>
  onScratchFolder(async (dataDir) => {
    const counts = smoke ? [10, 100] : [1_000, 10_000, 100_000, 1_000_000];
    await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1 });
    const commands = smoke ? 20 : 50_000;
    const series: Series = { label: 'Trunkline, written', points: [] };
    let made = 0;
    for (const count of counts) {
      const first = made;
      await pipelined(count - first, 256, (i) => runtime.ref(Probe, `p${first + i}`).route(routed(i)));
      made = count;
      const rates: number[] = [];
      for (let round = 0; round < (smoke ? 1 : 6); round++) {
        const rate = await pipelined(commands, 256, (i) =>
          runtime.ref(Probe, `p${Math.floor(Math.random() * count)}`).route(routed(i)),
        );
        if (smoke || round > 0) rates.push(rate);
      }
      series.points.push([count, median(rates)]);
    }
    return { title: 'Throughput against aggregates', grows: 'aggregates', counts: 'commands/s', series: [series] };
  });

await runScaleAlone(import.meta.url, aggregates);
