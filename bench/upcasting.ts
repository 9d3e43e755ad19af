// What older versions cost: events of the first version folded through five upcasters, and raise() of an event that has them.
import { openEmbeddedReader } from '../src/adapters/lmdb/store/reader.ts';
import { createRuntime } from '../src/index.ts';
import type { AnyAggregate } from '../src/model/aggregate.ts';
import { evolveFrame } from '../src/shard/evolve.ts';
import { Probe } from './aggregates.ts';
import { EvolvedProbe } from './evolved-probe.ts';
import {
  answer,
  median,
  micros,
  onScratchFolder,
  roundsOf,
  runAlone,
  type Suite,
  sized,
  thousands,
} from './measure.ts';
import { slowPath } from './slow.ts';

const events = 100;
const slowly = slowPath('upcasting');

export const upcasting: Suite = (settings) =>
  onScratchFolder(async (dataDir) => {
    const aggregates = sized(settings, { smoke: 2, quick: 250, full: 500 });
    const commands = sized(settings, { smoke: 2, quick: 20, full: 40 });
    const raises: { plain: number; evolved: number }[] = [];
    {
      await using runtime = await createRuntime({
        logger: false,
        dataDir,
        aggregates: [Probe, EvolvedProbe],
        shards: 1,
      });
      await Promise.all(Array.from({ length: aggregates }, (_, i) => runtime.ref(Probe, `p${i}`).routeMany(events)));
      const [plain, evolved] = [runtime.ref(Probe, 'raise'), runtime.ref(EvolvedProbe, 'raise')];
      const bursts = settings.smoke ? 2 : 100;
      for (let round = 0; round <= roundsOf(settings, 10); round++) {
        const took = { plain: [] as number[], evolved: [] as number[] };
        for (let i = 0; i < commands; i++) {
          took.plain.push((await plain.timeRaise(bursts)).value.raise.p50);
          took.evolved.push((await evolved.timeRaise(bursts)).value.raise.p50);
        }
        if (round > 0) raises.push({ plain: median(took.plain), evolved: median(took.evolved) });
      }
    }
    const reader = openEmbeddedReader(`${dataDir}/store`);
    /** Events a second. */
    const replay = (definition: AnyAggregate, aside?: () => void): number => {
      const start = performance.now();
      for (let i = 0; i < aggregates; i++) {
        aside?.();
        let state: unknown = definition.state();
        for (const frame of reader.load('probe', `p${i}`, '')!.frames) {
          state = evolveFrame(definition, state, frame, `p${i}`);
        }
        if ((state as { count: number }).count !== events) throw new Error('the replay is wrong');
      }
      return (aggregates * events) / ((performance.now() - start) / 1000);
    };
    const rounds: { plain: number; evolved: number }[] = [];
    for (let round = 0; round <= roundsOf(settings, 15); round++) {
      const found = { plain: replay(Probe), evolved: replay(EvolvedProbe, slowly) };
      if (round > 0) rounds.push(found);
    }
    await reader.close();
    const [plain, evolved] = [median(rounds.map((r) => r.plain)), median(rounds.map((r) => r.evolved))];
    const raise = median(raises.map((r) => r.evolved)) + (slowly ? 1_000 : 0);
    return [
      answer(
        'upcast-replay',
        rounds.map((r) => r.evolved / r.plain),
        `${thousands(evolved)} events/s through five upcasters, ${thousands(plain)} without: in turn, one thread`,
      ),
      answer(
        'versions-raise',
        raises.map((r) => (r.evolved + (slowly ? 1_000 : 0)) / r.plain),
        `raise ${micros(raise)}, without versions ${micros(median(raises.map((r) => r.plain)))}: commands in turn`,
      ),
    ];
  });

await runAlone(import.meta.url, upcasting);
