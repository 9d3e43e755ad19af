// The program that `stalled-log.ts` runs. Arguments: data directory, seconds. Tells one line of JSON.
import { createRuntime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import { Latencies } from './histogram.ts';

/** Microseconds a raise; how many were timed, over how many commits of the log at least. */
export interface Stalled {
  p50: number;
  p999: number;
  raises: number;
  commits: number;
}

const [dataDir, seconds] = process.argv.slice(2) as [string, string];
const runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1 });
const latencies = new Latencies();
let commits = 0;

async function lane(name: number, until: number, heard: (raise: number) => void): Promise<void> {
  const probe = runtime.ref(Probe, `p${name}`);
  while (performance.now() < until) {
    for (const raise of (await probe.timeEach(20)).value) heard(raise);
    if (name === 0) commits++;
  }
}

const lanes = (forMs: number, heard: (raise: number) => void): Promise<unknown> =>
  Promise.all(Array.from({ length: 64 }, (_, i) => lane(i, performance.now() + forMs, heard)));

await lanes(Number(seconds) * 500, () => {}); // warm
commits = 0;
await lanes(Number(seconds) * 1000, (raise) => latencies.record(raise));
const { p50, p999 } = latencies.percentiles;
await runtime.close();
console.log(JSON.stringify({ p50, p999, raises: latencies.count, commits } satisfies Stalled));
