// The whole road under a steady load: a command is due every half millisecond, whether or not the last one has returned;
// a live listener hears its event. Latency counts from the moment the command was due.
import { createRuntime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import { answer, Latencies, micros, onScratchFolder, paced, roundsOf, runAlone, type Suite, sized } from './measure.ts';
import { type Routed, routed } from './payload.ts';

const perSecond = 2000;

export const pacedRoad: Suite = (settings) =>
  onScratchFolder(async (dataDir) => {
    await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1 });
    const probes = Array.from({ length: 256 }, (_, i) => runtime.ref(Probe, `p${i}`));
    const seconds = sized(settings, { smoke: 0.05, quick: 0.5, full: 4 });
    const rounds: Latencies[] = [];
    let heard = new Latencies();
    let dues: number[] = [];
    runtime.bus.on(Probe, 'CallRouted', ({ data }) => heard.since(dues[(data as Routed).attempts]!));
    const [allHeard, allReplies] = [new Latencies(), new Latencies()];
    for (let round = 0; round <= roundsOf(settings, 5); round++) {
      heard = new Latencies();
      dues = new Array<number>(Math.max(1, Math.round(perSecond * seconds)));
      const replies = await paced(perSecond, seconds, (i, due) => {
        dues[i] = due;
        return probes[i & 255]!.route({ ...routed(i), attempts: i });
      });
      if (heard.count !== dues.length) throw new Error(`${heard.count} of ${dues.length} events were heard`);
      if (round === 0) continue; // warm
      rounds.push(heard);
      allHeard.add(heard);
      allReplies.add(replies.latencies);
    }
    settings.draw('Trunkline: heard, 2,000/s', allHeard);
    const detail = `listener p99 ${micros(allHeard.at(0.99))}, p99.9 ${micros(allHeard.at(0.999))}; reply p50 ${micros(allReplies.at(0.5))}, p99 ${micros(allReplies.at(0.99))}; counted from when each was due`;
    return [
      answer(
        'handle-event',
        rounds.map((latencies) => latencies.at(0.5)),
        detail,
      ),
      answer(
        'process-event',
        rounds.map((latencies) => latencies.at(0.95)),
        'the same run; every event was heard',
      ),
    ];
  });

await runAlone(import.meta.url, pacedRoad);
