// One command at a time while a release to come is rehearsed: with no share of the aggregates, with all of them, and without a
// rehearsal.
import { createRuntime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import { Probe as Next } from './aggregates-next.ts';
import {
  answer,
  Latencies,
  median,
  micros,
  oneAtATime,
  onScratchFolder,
  roundsOf,
  runAlone,
  type Suite,
  sized,
} from './measure.ts';
import { routed } from './payload.ts';

const shares = { without: undefined, none: 0, all: 1 } as const;

export const rehearseLive: Suite = (settings) =>
  onScratchFolder(async (dataDir) => {
    await using runtime = await createRuntime({
      logger: false,
      dataDir,
      aggregates: [Probe],
      shards: 1,
      flush: 'latency',
    });
    const probe = runtime.ref(Probe, 'one');
    const count = sized(settings, { smoke: 200, quick: 1000, full: 4000 });
    const p50: Record<keyof typeof shares, number[]> = { without: [], none: [], all: [] };
    let compared = 0;
    const hostMicros: number[] = [];
    for (let round = 0; round <= roundsOf(settings, 15); round++) {
      const order = Object.entries(shares);
      for (let i = 0; i < round % order.length; i++) order.push(order.shift()!); // none is always behind the same one
      for (const [name, share] of order) {
        await using rehearsal =
          share === undefined ? undefined : await runtime.rehearse({ new: [Next], share, budgetMicros: 1_000 });
        await oneAtATime(count / 4, (i) => probe.route(routed(i))); // behind the pause of a start, threads have gone to sleep
        const latencies = new Latencies();
        latencies.add(await oneAtATime(count, (i) => probe.route(routed(i))));
        if (round > 0) p50[name as keyof typeof shares].push(latencies.at(0.5));
        if (share !== 1) continue;
        const { commands, different, hostMicros: spent } = await rehearsal!.stop();
        if (different > 0) throw new Error('the rehearsal is wrong');
        compared += commands;
        hostMicros.push(spent / commands);
      }
    }
    if (compared === 0) throw new Error('the rehearsal has compared nothing');
    const ratios = (name: 'none' | 'all'): number[] => p50[name].map((value, i) => value / p50.without[i]!);
    const detail = `p50 ${micros(median(p50.without))} without, ${micros(median(p50.none))} with no share, ${micros(median(p50.all))} with all: in turn; ${compared.toLocaleString('en')} commands compared, ${median(hostMicros).toFixed(1)} µs of the main thread for each`;
    return [answer('rehearse-none', ratios('none'), detail), answer('rehearse-all', ratios('all'), detail)];
  });

await runAlone(import.meta.url, rehearseLive);
