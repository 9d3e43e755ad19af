// What publishing without waiting costs the caller's own thread, against raise() in a shard.
import { createRuntime, type NewEvent } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import {
  answer,
  Latencies,
  median,
  micros,
  onScratchFolder,
  roundsOf,
  runAlone,
  type Suite,
  sized,
} from './measure.ts';
import { routed } from './payload.ts';

export const publishFromCaller: Suite = (settings) =>
  onScratchFolder(async (dataDir) => {
    await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1 });
    const probe = runtime.ref(Probe, 'raise').with({ metadata: { correlationId: 'bench-1', source: 'bench' } });
    const bursts = sized(settings, { smoke: 2, quick: 200, full: 1000 });
    const metadata = { correlationId: 'bench-1', source: 'bench' };
    const event: NewEvent = {
      aggregateType: 'call',
      aggregateId: 'one',
      type: 'CallRouted',
      data: routed(1),
      metadata,
    };
    const round = async (): Promise<{ burst: number; single: Latencies; raise: number }> => {
      const [burst, single] = [new Latencies(), new Latencies()];
      for (let i = 0; i < bursts; i++) {
        let start = performance.now();
        for (let j = 0; j < 16; j++) runtime.publisher.publishAsync(event);
        burst.record(((performance.now() - start) * 1000) / 16);
        start = performance.now();
        runtime.publisher.publishAsync(event);
        single.since(start);
        if (i % 16 === 0) await runtime.reached('written'); // outside of what is timed: room in the ring
      }
      return { burst: burst.at(0.5), single, raise: (await probe.timeRaise(settings.smoke ? 2 : 200)).value.raise.p50 };
    };
    for (let i = 0; i < 3; i++) await round(); // warm
    const rounds = [];
    for (let i = 0; i < roundsOf(settings, 9); i++) rounds.push(await round());
    return [
      answer(
        'publish-ratio',
        rounds.map(({ burst, raise }) => burst / raise),
        `publishAsync ${micros(median(rounds.map((r) => r.burst)))}, raise ${micros(median(rounds.map((r) => r.raise)))}: bursts of 16`,
      ),
      answer(
        'publish-unblocked',
        rounds.map(({ single }) => single.at(0.99)),
        'each call timed alone',
      ),
    ];
  });

await runAlone(import.meta.url, publishFromCaller);
