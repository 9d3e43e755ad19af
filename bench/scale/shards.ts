// Commands per second with 1 to 4 shards: of small commands, and of commands that raise 100 events each.
import { createRuntime } from '../../src/index.ts';
import { Probe } from '../aggregates.ts';
import { median, onScratchFolder, pipelined } from '../measure.ts';
import { routed } from '../payload.ts';
import { runScaleAlone, type ScaleRun, type Series } from './scale.ts';

export const shards: ScaleRun = async (smoke) => {
  const small: Series = { label: 'Trunkline, one event a command', points: [] };
  const large: Series = { label: 'Trunkline, 100 events a command', points: [] };
  for (const count of smoke ? [1, 2] : [1, 2, 3, 4]) {
    await onScratchFolder(async (dataDir) => {
      await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: count });
      const probes = Array.from({ length: 1024 }, (_, i) => runtime.ref(Probe, `p${i}`));
      const rounds: { few: number; many: number }[] = [];
      for (let round = 0; round < (smoke ? 1 : 6); round++) {
        const few = await pipelined(smoke ? 20 : 100_000, 1024, (i) => probes[i & 1023]!.route(routed(i)));
        const many = await pipelined(smoke ? 20 : 2_000, 16, (i) => probes[i & 1023]!.routeMany(100));
        if (smoke || round > 0) rounds.push({ few, many });
      }
      small.points.push([count, median(rounds.map(({ few }) => few))]);
      large.points.push([count, median(rounds.map(({ many }) => many))]);
    });
  }
  return { title: 'Throughput against shards', grows: 'shards', counts: 'commands/s', series: [small, large] };
};

await runScaleAlone(import.meta.url, shards);
