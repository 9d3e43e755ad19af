// Append and load by aggregate with many events in the store, against few: two runtimes, measured in turn.
import { createRuntime, newId, type Runtime } from '../src/index.ts';
import { openEmbeddedReader } from '../src/store/lmdb/reader.ts';
import { Probe } from './aggregates.ts';
import { answer, Latencies, median, onScratchFolder, roundsOf, runAlone, type Suite, sized } from './measure.ts';

const perAggregate = 10;

/** A runtime, and which aggregates are in its store. */
export class GrowingStore {
  readonly runtime: Runtime;
  private readonly folder: string;
  private readonly ids: string[] = [];
  events = 0;

  constructor(runtime: Runtime, dataDir: string) {
    this.runtime = runtime;
    this.folder = `${dataDir}/store`;
  }

  /** Append so many events, ten to an aggregate with an id of the runtime's own; microseconds an event until they are stored. */
  async append(events: number): Promise<number> {
    const start = performance.now();
    let left = events / perAggregate;
    const lane = async (): Promise<void> => {
      while (left-- > 0) {
        const id = newId();
        await this.runtime.ref(Probe, id).routeMany(perAggregate);
        if (this.ids.length < 200_000 || Math.random() < 0.05) this.ids.push(id);
      }
    };
    await Promise.all(Array.from({ length: 64 }, lane));
    await this.runtime.reached('stored');
    this.events += events;
    return ((performance.now() - start) * 1000) / events;
  }

  /** Load so many aggregates at random after as many for warmth; p50 in microseconds. */
  async load(loads: number): Promise<number> {
    const reader = openEmbeddedReader(this.folder);
    const latencies = new Latencies();
    for (let i = 0; i < 2 * loads; i++) {
      const id = this.ids[Math.floor(Math.random() * this.ids.length)]!;
      const start = performance.now();
      let count = 0;
      for (const frame of reader.load('probe', id, '')!.frames) count += frame.dataLength > 0 ? 1 : 0;
      if (count !== perAggregate) throw new Error('the load is wrong');
      if (i >= loads) latencies.since(start);
    }
    await reader.close();
    return latencies.at(0.5);
  }
}

export const logSize: Suite = (settings) =>
  onScratchFolder((smallDir) =>
    onScratchFolder(async (largeDir) => {
      const largeEvents = sized(settings, { smoke: 1000, quick: 200_000, full: 10_000_000 });
      const [smallEvents, step, loads] = settings.smoke ? [500, 500, 50] : [100_000, 20_000, 5_000];
      const options = { aggregates: [Probe], shards: 1, actorLimit: 20_000 };
      await using smallRuntime = await createRuntime({ ...options, dataDir: smallDir });
      await using largeRuntime = await createRuntime({ ...options, dataDir: largeDir });
      const small = new GrowingStore(smallRuntime, smallDir);
      const large = new GrowingStore(largeRuntime, largeDir);
      await small.append(smallEvents);
      await large.append(largeEvents);
      const rounds: { appends: readonly [number, number]; loads: readonly [number, number] }[] = [];
      for (let i = 0; i < roundsOf(settings, 5); i++) {
        rounds.push({
          appends: [await small.append(step), await large.append(step)],
          loads: [await small.load(loads), await large.load(loads)],
        });
      }
      const middle = (kind: 'appends' | 'loads', at: 0 | 1): string =>
        `${median(rounds.map((round) => round[kind][at])).toFixed(2)} µs`;
      const sizes = `${smallEvents} and ${largeEvents} events, rounds in turn`;
      return [
        answer(
          'append-growth',
          rounds.map(({ appends: [few, many] }) => many / few),
          `${middle('appends', 0)} against ${middle('appends', 1)} an event; ${perAggregate} events an aggregate, ids by newId(); ${sizes}`,
        ),
        answer(
          'load-growth',
          rounds.map(({ loads: [few, many] }) => many / few),
          `p50 ${middle('loads', 0)} against ${middle('loads', 1)}, aggregates at random; ${sizes}`,
        ),
      ];
    }),
  );

await runAlone(import.meta.url, logSize);
