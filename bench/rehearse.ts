// A rehearsal: what is stored folded by two releases, aggregate by aggregate. The events of each lie far apart, as they come
// where many aggregates are busy at the same time.
import { createRuntime } from '../src/index.ts';
import { type AnyAggregate, defineAggregate } from '../src/model/aggregate.ts';
import { rehearse } from '../src/testing.ts';
import { Probe } from './aggregates.ts';
import { answer, onScratchFolder, pipelined, roundsOf, runAlone, type Suite, sized } from './measure.ts';
import { routed } from './payload.ts';

const eventsOfEach = 10;
const inFlight = 1_000;

const { name, ...before }: AnyAggregate = Probe;
/** The release to come: its reducer is another function. */
const Next = defineAggregate(name, {
  ...before,
  evolve: { CallRouted: (state: { count: number }) => ({ count: 1 + state.count }) },
});

export const rehearsal: Suite = (settings) =>
  onScratchFolder(async (dataDir) => {
    const aggregates = sized(settings, { smoke: 20, quick: 20_000, full: 100_000 });
    const events = aggregates * eventsOfEach;
    {
      await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1 });
      await pipelined(events, inFlight, (i) => runtime.ref(Probe, `p${i % aggregates}`).route(routed(i)));
    }
    const rates: number[] = [];
    for (let round = 0; round <= roundsOf(settings, 5); round++) {
      const found = await rehearse({ dataDir, old: [Probe], new: [Next] });
      if (found.events !== events || found.different > 0) throw new Error('the rehearsal is wrong');
      if (round > 0) rates.push(found.events / found.seconds);
    }
    const detail = `${events.toLocaleString('en')} events of ${aggregates.toLocaleString('en')} aggregates in the embedded store, interleaved`;
    return [answer('rehearse-embedded', rates, detail)];
  });

await runAlone(import.meta.url, rehearsal);
