// One round of one system, in this process: warm up, calls with many in flight, one call at a time. Told to the run that
// forked it. Arguments: the job, as JSON.
import { Latencies } from '../histogram.ts';

const { module, name, inFlight, eventsPerCall, ms, folder, postgres, redis } = JSON.parse(process.argv[2]);
const { open } = (await import(`./systems/${module}.mjs`))[name];
const { call, close } = await open({ folder, postgres, redis });
const isPromise = (value) => typeof value?.then === 'function';

let next = 0;

/** Keep so many calls in flight; how many came to their end. Calls that return at once are made in turns of 64. */
async function load(forMs) {
  const end = performance.now() + forMs;
  const from = next;
  const first = call(next++);
  if (!isPromise(first)) {
    while (performance.now() < end) {
      for (let i = 0; i < 64; i++) call(next++);
      if ((next & 255) < 64) await new Promise(setImmediate); // what a call leaves for later, and threads behind it, have their turn
    }
    return next - from;
  }
  await first;
  const lane = async () => {
    while (performance.now() < end) await call(next++);
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return next - from;
}

async function oneAtATime(forMs) {
  const latencies = new Latencies();
  const end = performance.now() + forMs;
  for (let now = performance.now(); now < end; now = performance.now()) {
    const start = performance.now();
    const result = call(next++);
    if (isPromise(result)) await result;
    latencies.since(start);
    if ((next & 1023) === 0) await new Promise(setImmediate);
  }
  return latencies;
}

process.on('disconnect', () => process.exit(1)); // the run is gone: so are we
await load(ms);
process.send({ phase: 'measured' });
await new Promise((resolve) => process.once('message', resolve)); // the run looks at its server's CPU time
const cpu = process.cpuUsage();
const start = performance.now();
const calls = await load(ms);
const seconds = (performance.now() - start) / 1000;
const { user, system } = process.cpuUsage(cpu);
process.send({ phase: 'loaded' });
const latencies = await oneAtATime(ms);
const { p50, p99, p999 } = latencies.percentiles;
const events = calls * eventsPerCall;
process.send({
  round: {
    events,
    perSecond: events / seconds,
    p50,
    p99,
    p999,
    points: latencies.points,
    cpuSeconds: (user + system) / 1e6,
    memoryMiB: process.resourceUsage().maxRSS / 1024,
  },
});
await close();
process.exit(0);
