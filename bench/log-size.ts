// Append and load by aggregate with many events in the store, against few.
import { createRuntime, newId, type Runtime } from '../src/index.ts';
import { openEmbeddedReader } from '../src/store/lmdb/reader.ts';
import { Probe } from './aggregates.ts';
import { median, onScratchFolder, type Row, runAlone, type Suite, times } from './measure.ts';

const perAggregate = 10;

/** Append so many events, ten to an aggregate with an id of the runtime's own; events/s until they are stored. */
async function append(runtime: Runtime, events: number, ids: string[]): Promise<number> {
  const start = performance.now();
  let left = events / perAggregate;
  const lane = async (): Promise<void> => {
    while (left-- > 0) {
      const id = newId();
      await runtime.ref(Probe, id).routeMany(perAggregate);
      if (ids.length < 200_000 || Math.random() < 0.05) ids.push(id);
    }
  };
  await Promise.all(Array.from({ length: 64 }, lane));
  await runtime.reached('stored');
  return events / ((performance.now() - start) / 1000);
}

async function load(folder: string, ids: string[]): Promise<number> {
  const reader = openEmbeddedReader(folder);
  const samples: number[] = [];
  for (let i = 0; i < 20_000; i++) {
    const id = ids[Math.floor(Math.random() * ids.length)]!;
    const start = performance.now();
    let count = 0;
    for (const frame of reader.load('probe', id, '')!.frames) count += frame.dataLength > 0 ? 1 : 0;
    if (count !== perAggregate) throw new Error('the load is wrong');
    if (i >= 10_000) samples.push((performance.now() - start) * 1000);
  }
  await reader.close();
  return median(samples);
}

export const logSize: Suite = ({ smoke }) =>
  onScratchFolder(async (dataDir): Promise<Row[]> => {
    const [small, large, step] = smoke ? [500, 1000, 500] : [100_000, 10_000_000, 100_000];
    await using runtime = await createRuntime({ dataDir, aggregates: [Probe], shards: 1, actorLimit: 20_000 });
    const ids: string[] = [];
    await append(runtime, small, ids);
    const appendSmall = median([
      await append(runtime, step, ids),
      await append(runtime, step, ids),
      await append(runtime, step, ids),
    ]);
    const loadSmall = await load(`${dataDir}/store`, ids);
    const done = small + 3 * step;
    await append(runtime, Math.max(0, large - done), ids);
    const appendLarge = median([
      await append(runtime, step, ids),
      await append(runtime, step, ids),
      await append(runtime, step, ids),
    ]);
    const loadLarge = await load(`${dataDir}/store`, ids);
    const ratios = [appendSmall / appendLarge, loadLarge / loadSmall] as const;
    return [
      {
        measure: `append until stored at ${large} events against ${small}, time per event`,
        asked: '≤ 1.5 ×',
        measured: times(ratios[0]),
        holds: ratios[0] <= 1.5,
        detail: `${Math.round(appendSmall)} against ${Math.round(appendLarge)} events/s; ${perAggregate} events an aggregate, ids by newId()`,
      },
      {
        measure: `load by aggregate at ${large} events against ${small}`,
        asked: '≤ 1.5 ×',
        measured: times(ratios[1]),
        holds: ratios[1] <= 1.5,
        detail: `p50 ${loadSmall.toFixed(1)} µs against ${loadLarge.toFixed(1)} µs, aggregates at random`,
      },
    ];
  });

await runAlone(import.meta.url, logSize);
