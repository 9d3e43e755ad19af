// 1,024 commands in flight, one shard, waiting for `written`, against bare no-op Piscina tasks with as many in flight.
import { Piscina } from 'piscina';
import { createRuntime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import {
  interleave,
  median,
  onScratchFolder,
  pipelined,
  type Row,
  runAlone,
  type Suite,
  thousands,
  times,
} from './measure.ts';
import { routed } from './payload.ts';

const depth = 1024;
const perWorker = [1, 16, 64, 256];

export const commandsInFlight: Suite = ({ smoke }) =>
  onScratchFolder(async (dataDir): Promise<Row[]> => {
    await using runtime = await createRuntime({ dataDir, aggregates: [Probe], shards: 1 });
    const probes = Array.from({ length: 256 }, (_, i) => runtime.ref(Probe, `p${i}`));
    const [commandCount, taskCount, rounds] = smoke ? [100, 100, 1] : [200_000, 40_000, 5];
    const filename = new URL('./idle-task.mjs', import.meta.url).href;
    const pools = perWorker.map(
      (concurrentTasksPerWorker) => new Piscina({ filename, minThreads: 1, maxThreads: 1, concurrentTasksPerWorker }),
    );
    const { a: commands, b: tasks } = await interleave(
      rounds,
      () => pipelined(commandCount, depth, (i) => probes[i & 255]!.route(routed(i))),
      async () => {
        const rates: number[] = [];
        for (const pool of pools) rates.push(await pipelined(taskCount, depth, () => pool.run(null)));
        return Math.max(...rates);
      },
    );
    for (const pool of pools) await pool.close();
    const ratio = median(commands.map((rate, i) => rate / tasks[i]!));
    return [
      {
        measure: `commands/s waiting for written, ${depth} in flight, one shard / Piscina tasks/s`,
        asked: '≥ 3 × (aim 6 ×)',
        measured: times(ratio),
        holds: ratio >= 3,
        detail: `${thousands(median(commands))} commands/s; ${thousands(median(tasks))} tasks/s, best of ${perWorker.join(', ')} tasks per worker; ${rounds} rounds in turn`,
      },
    ];
  });

await runAlone(import.meta.url, commandsInFlight);
