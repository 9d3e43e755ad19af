// Replay from the embedded store: every event decoded and folded into its aggregate's state, as a load does it.

import { openEmbeddedReader } from '../src/adapters/lmdb/store/reader.ts';
import { createRuntime } from '../src/index.ts';
import { evolveFrame } from '../src/shard/evolve.ts';
import { Probe } from './aggregates.ts';
import { answer, onScratchFolder, roundsOf, runAlone, type Suite, sized } from './measure.ts';

const events = 100;

export const replayFromStore: Suite = (settings) =>
  onScratchFolder(async (dataDir) => {
    const aggregates = sized(settings, { smoke: 2, quick: 500, full: 2000 });
    {
      await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1 });
      await Promise.all(Array.from({ length: aggregates }, (_, i) => runtime.ref(Probe, `p${i}`).routeMany(events)));
    }
    const reader = openEmbeddedReader(`${dataDir}/store`);
    const replay = (): number => {
      const start = performance.now();
      let count = 0;
      for (let i = 0; i < aggregates; i++) {
        let state: unknown = Probe.state();
        for (const frame of reader.load('probe', `p${i}`, '')!.frames) {
          state = evolveFrame(Probe, state, frame, `p${i}`);
          count++;
        }
        if ((state as { count: number }).count !== events) throw new Error('the replay is wrong');
      }
      return count / ((performance.now() - start) / 1000);
    };
    replay();
    const rounds = Array.from({ length: roundsOf(settings, 9) }, replay);
    await reader.close();
    const detail = `${aggregates} aggregates of ${events} events, one thread`;
    return [answer('replay-embedded', rounds, detail), answer('replay-floor', rounds, 'the same figure')];
  });

await runAlone(import.meta.url, replayFromStore);
