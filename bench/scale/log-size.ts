// Append and load with 10,000 to 10,000,000 events in the store.
import { createRuntime } from '../../src/index.ts';
import { Probe } from '../aggregates.ts';
import { GrowingStore } from '../log-size.ts';
import { median, onScratchFolder } from '../measure.ts';
import { runScaleAlone, type ScaleRun, type Series } from './scale.ts';

export const logSize: ScaleRun = (smoke) =>
  onScratchFolder(async (dataDir) => {
    const sizes = smoke ? [500, 1000] : [10_000, 100_000, 1_000_000, 10_000_000];
    const [step, loads] = smoke ? [200, 50] : [5_000, 5_000];
    await using runtime = await createRuntime({
      logger: false,
      dataDir,
      aggregates: [Probe],
      shards: 1,
      actorLimit: 20_000,
    });
    const store = new GrowingStore(runtime, dataDir);
    const appends: Series = { label: 'Trunkline: append, stored', points: [] };
    const loaded: Series = { label: 'Trunkline: load ten events', points: [] };
    for (const size of sizes) {
      await store.append(Math.max(10, size - store.events));
      const rounds: { append: number; load: number }[] = [];
      for (let round = 0; round < (smoke ? 1 : 5); round++) {
        rounds.push({ append: await store.append(step), load: await store.load(loads) });
      }
      appends.points.push([size, 1e6 / median(rounds.map(({ append }) => append))]);
      loaded.points.push([size, 1e6 / median(rounds.map(({ load }) => load))]);
    }
    return {
      title: 'Cost against log size',
      grows: 'events in the store',
      counts: 'per second',
      series: [appends, loaded],
    };
  });

await runScaleAlone(import.meta.url, logSize);
