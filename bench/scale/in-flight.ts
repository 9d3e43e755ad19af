// Commands per second with 1 to 10,000 of them in flight, one shard; beside them bare Piscina tasks.
import { Piscina } from 'piscina';
import { createRuntime } from '../../src/index.ts';
import { Probe } from '../aggregates.ts';
import { median, onScratchFolder, pipelined } from '../measure.ts';
import { routed } from '../payload.ts';
import { runScaleAlone, type ScaleRun, type Series } from './scale.ts';

export const inFlight: ScaleRun = (smoke) =>
  onScratchFolder(async (dataDir) => {
    const depths = smoke ? [1, 10] : [1, 4, 16, 64, 256, 1024, 4096, 10_000];
    await using runtime = await createRuntime({
      logger: false,
      dataDir,
      aggregates: [Probe],
      shards: 1,
      flush: 'durable',
    });
    const written = Array.from({ length: 1024 }, (_, i) => runtime.ref(Probe, `p${i}`));
    const synced = written.map((probe) => probe.with({ ack: 'synced' }));
    const filename = new URL('../idle-task.mjs', import.meta.url).href;
    const pool = new Piscina({ filename, minThreads: 1, maxThreads: 1, concurrentTasksPerWorker: 64 });
    const work: [label: string, most: number, call: (i: number) => Promise<unknown>][] = [
      ['Trunkline, written', 200_000, (i) => written[i & 1023]!.route(routed(i))],
      ['Trunkline, synced', 100_000, (i) => synced[i & 1023]!.route(routed(i))],
      ['Piscina no-op task', 40_000, () => pool.run(null)],
    ];
    const series: Series[] = work.map(([label]) => ({ label, points: [] }));
    for (const depth of depths) {
      const rates: number[][] = work.map(() => []);
      for (let round = 0; round <= (smoke ? 0 : 5); round++) {
        for (const [at, [, most, call]] of work.entries()) {
          const count = smoke ? 20 : Math.min(most, 2000 + 500 * depth);
          const rate = await pipelined(count, depth, call);
          if (smoke || round > 0) rates[at]!.push(rate);
        }
      }
      for (const [at, { points }] of series.entries()) points.push([depth, median(rates[at]!)]);
    }
    await pool.close();
    return { title: 'Throughput against concurrency', grows: 'commands in flight', counts: 'commands/s', series };
  });

await runScaleAlone(import.meta.url, inFlight);
