// What an idle live actor costs beyond its state: the shard's heap before and after many of them.
import { createRuntime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import { onScratchFolder, pipelined, type Row, runAlone, type Suite } from './measure.ts';

export const idleActors: Suite = ({ smoke }) =>
  onScratchFolder(async (dataDir): Promise<Row[]> => {
    const count = smoke ? 100 : 100_000;
    await using runtime = await createRuntime({ dataDir, aggregates: [Probe], shards: 1, actorLimit: 200_000 });
    const meter = runtime.ref(Probe, 'meter');
    await pipelined(1000, 100, (i) => runtime.ref(Probe, `warm${i}`).nothing());
    const before = (await meter.heapBytes()).value;
    await pipelined(count, 256, (i) =>
      runtime.ref(Probe, `018f0000-0000-7000-8000-${String(i).padStart(12, '0')}`).nothing(),
    );
    const perActor = ((await meter.heapBytes()).value - before) / count;
    return [
      {
        measure: `${count} live idle actors, bytes each beyond their state`,
        asked: '≤ 1 KiB',
        measured: `${Math.round(perActor)} bytes`,
        holds: perActor <= 1024,
        detail: 'heap of the shard after a full collection; includes the small state itself and its 36-byte id',
      },
    ];
  });

await runAlone(import.meta.url, idleActors);
