// Append and load by aggregate with many events in the store, against few: two runtimes, started again on what is there and
// measured in turn.

import { openEmbeddedReader } from '../src/adapters/lmdb/store/reader.ts';
import { createRuntime, newId, type Runtime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import { answer, Latencies, median, onScratchFolder, roundsOf, runAlone, type Suite, sized } from './measure.ts';

const perAggregate = 10;
const sampleLimit = 200_000;

/** A runtime, and which aggregates are in its store: at most so many of them, all with the same chance. */
export class GrowingStore {
  runtime: Runtime;
  private readonly folder: string;
  private aggregates = 0;
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
        const before = this.aggregates++;
        const place = before < sampleLimit ? before : Math.floor(Math.random() * this.aggregates);
        if (place < sampleLimit) this.ids[place] = id;
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
      const [smallEvents, step, loads, warmUps] = settings.smoke ? [500, 500, 50, 1] : [100_000, 20_000, 5_000, 3];
      const options = { aggregates: [Probe], shards: 1, actorLimit: 20_000 };
      const filled = async (dataDir: string, events: number): Promise<GrowingStore> => {
        const runtime = await createRuntime({ logger: false, ...options, dataDir });
        const store = new GrowingStore(runtime, dataDir);
        await store.append(events);
        await runtime.close();
        return store;
      };
      const small = await filled(smallDir, smallEvents);
      const large = await filled(largeDir, largeEvents);
      await using smallRuntime = await createRuntime({ logger: false, ...options, dataDir: smallDir });
      await using largeRuntime = await createRuntime({ logger: false, ...options, dataDir: largeDir });
      [small.runtime, large.runtime] = [smallRuntime, largeRuntime];
      for (let i = 0; i < warmUps; i++) for (const store of [small, large]) await store.append(step);
      const rounds: { appends: readonly [number, number]; loads: readonly [number, number] }[] = [];
      for (let i = 0; i < roundsOf(settings, 5); i++) {
        rounds.push({
          appends: [await small.append(step), await large.append(step)],
          loads: [await small.load(loads), await large.load(loads)],
        });
      }
      const middle = (kind: 'appends' | 'loads', at: 0 | 1): string =>
        `${median(rounds.map((round) => round[kind][at])).toFixed(2)} µs`;
      const sizes = `${small.events} and ${large.events} events at the end, rounds in turn`;
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
