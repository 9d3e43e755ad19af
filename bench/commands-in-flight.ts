// 1,024 commands in flight, one shard, waiting for `written`, against bare no-op Piscina tasks with as many in flight.
import { Piscina } from 'piscina';
import { createRuntime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import {
  answer,
  interleave,
  median,
  onScratchFolder,
  pipelined,
  roundsOf,
  runAlone,
  type Suite,
  sized,
  thousands,
} from './measure.ts';
import { routed } from './payload.ts';

const depth = 1024;
const perWorker = [1, 16, 64, 256];

export const commandsInFlight: Suite = (settings) =>
  onScratchFolder(async (dataDir) => {
    await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1 });
    const probes = Array.from({ length: 256 }, (_, i) => runtime.ref(Probe, `p${i}`));
    const commandCount = sized(settings, { smoke: 100, quick: 100_000, full: 200_000 });
    const taskCount = sized(settings, { smoke: 100, quick: 20_000, full: 40_000 });
    const filename = new URL('./idle-task.mjs', import.meta.url).href;
    const pools = perWorker.map(
      (concurrentTasksPerWorker) => new Piscina({ filename, minThreads: 1, maxThreads: 1, concurrentTasksPerWorker }),
    );
    const { a: commands, b: tasks } = await interleave(
      roundsOf(settings, 5),
      () => pipelined(commandCount, depth, (i) => probes[i & 255]!.route(routed(i))),
      async () => {
        const rates: number[] = [];
        for (const pool of pools) rates.push(await pipelined(taskCount, depth, () => pool.run(null)));
        return Math.max(...rates);
      },
    );
    for (const pool of pools) await pool.close();
    return [
      answer(
        'in-flight-ratio',
        commands.map((rate, i) => rate / tasks[i]!),
        `${thousands(median(commands))} commands/s; ${thousands(median(tasks))} tasks/s, best of ${perWorker.join(', ')} tasks per worker`,
      ),
    ];
  });

await runAlone(import.meta.url, commandsInFlight);
