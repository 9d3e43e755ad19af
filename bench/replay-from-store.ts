// Replay from the embedded store: every event decoded and folded into its aggregate's state, as a load does it.

import { evolveFrame } from '../src/actor/evolve.ts';
import { createRuntime } from '../src/index.ts';
import { openEmbeddedReader } from '../src/store/lmdb/reader.ts';
import { Probe } from './aggregates.ts';
import { median, onScratchFolder, type Row, runAlone, type Suite, thousands } from './measure.ts';

export const replayFromStore: Suite = ({ smoke }) =>
  onScratchFolder(async (dataDir): Promise<Row[]> => {
    const aggregates = smoke ? 4 : 2000;
    const events = 100;
    {
      await using runtime = await createRuntime({ dataDir, aggregates: [Probe], shards: 1 });
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
    const rate = median(Array.from({ length: smoke ? 1 : 7 }, replay));
    await reader.close();
    return [
      {
        measure: 'replay with decode and evolve, embedded store, events/s',
        asked: '≥ 500,000',
        measured: thousands(rate),
        holds: rate >= 500_000,
        detail: `${aggregates} aggregates of ${events} events, one thread; the seed asks for 10,000`,
      },
    ];
  });

await runAlone(import.meta.url, replayFromStore);
