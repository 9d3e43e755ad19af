// What an idle live actor costs beyond its state: the shard's heap before and after many of them.
import { createRuntime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import { answer, onScratchFolder, pipelined, roundsOf, runAlone, type Suite, sized } from './measure.ts';

/** A runtime of its own each round, so that each sees the same empty shard. */
const bytesPerActor = (count: number): Promise<number> =>
  onScratchFolder(async (dataDir) => {
    await using runtime = await createRuntime({
      logger: false,
      dataDir,
      aggregates: [Probe],
      shards: 1,
      actorLimit: 200_000,
    });
    const meter = runtime.ref(Probe, 'meter');
    await pipelined(1000, 100, (i) => runtime.ref(Probe, `warm${i}`).nothing());
    const before = (await meter.heapBytes()).value;
    await pipelined(count, 256, (i) =>
      runtime.ref(Probe, `018f0000-0000-7000-8000-${String(i).padStart(12, '0')}`).nothing(),
    );
    return ((await meter.heapBytes()).value - before) / count;
  });

export const idleActors: Suite = async (settings) => {
  const count = sized(settings, { smoke: 500, quick: 20_000, full: 100_000 });
  const rounds: number[] = [];
  for (let i = 0; i < roundsOf(settings, 5); i++) rounds.push(await bytesPerActor(count));
  const detail = `${count} actors; heap of the shard after a full collection, the small state and its 36-byte id included`;
  return [answer('idle-actor', rounds, detail)];
};

await runAlone(import.meta.url, idleActors);
