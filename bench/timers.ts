// Durable timers: how late their commands are executed, what it costs to set and cancel one beside a message, how fast those go that
// came due while the service stood still, and what a pending one takes of memory.
import { createRuntime, type Runtime } from '../src/index.ts';
import { heapBytes } from './heap.ts';
import {
  answer,
  interleave,
  Latencies,
  median,
  micros,
  oneAtATime,
  onScratchFolder,
  pipelined,
  roundsOf,
  runAlone,
  type Settings,
  type Suite,
  sized,
  thousands,
} from './measure.ts';
import { Timed } from './timed.ts';

const dayMs = 86_400_000;
const now = (): number => performance.timeOrigin + performance.now();

const start = (dataDir: string): Promise<Runtime> =>
  createRuntime({ logger: false, dataDir, aggregates: [Timed], shards: 1, flush: 'latency' });

/** Resolves once so many have been executed; `each` gets when one was due. */
function whenRung(runtime: Runtime, count: number, each: (due: number) => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let left = count;
  runtime.bus.on(Timed, 'Rung', ({ data }) => {
    each(data.due);
    if (--left === 0) resolve();
  });
  return promise;
}

/** Timers all over a span, of a thousand aggregates. */
async function setOver(runtime: Runtime, count: number, from: number, spanMs: number): Promise<void> {
  const each = 100;
  await pipelined(count / each, 64, (i) => {
    const dates = Array.from({ length: each }, (_, k) =>
      Math.round(from + (spanMs * (i + (k * count) / each)) / count),
    );
    return runtime.ref(Timed, `t${i % 1000}`).setAt(dates);
  });
}

async function lateness(settings: Settings): Promise<Latencies> {
  return onScratchFolder(async (dataDir) => {
    await using runtime = await start(dataDir);
    const count = sized(settings, { smoke: 200, quick: 2_000, full: 10_000 });
    const late = new Latencies();
    const all = whenRung(runtime, count, (due) => {
      const lateMs = now() - due;
      if (Date.now() < due) throw new Error('a timer was executed before its date');
      late.record(Math.max(0, lateMs) * 1000);
    });
    await setOver(runtime, count, now() + 500, count);
    await all;
    return late;
  });
}

async function setCost(settings: Settings): Promise<{ ratios: number[]; set: number[]; send: number[] }> {
  return onScratchFolder(async (dataDir) => {
    await using runtime = await start(dataDir);
    const count = sized(settings, { smoke: 100, quick: 1_000, full: 4_000 });
    const one = runtime.ref(Timed, 'one');
    const p50 = async (call: (i: number) => Promise<unknown>): Promise<number> => {
      const latencies = await oneAtATime(count, call);
      return latencies.at(0.5);
    };
    const { a, b } = await interleave(
      roundsOf(settings, 15),
      () => p50((i) => one.sendOne(`to${i % 100}`)),
      async () => {
        const set = await p50((i) => one.set(`n${i % 1000}`, dayMs));
        return Math.max(set, await p50((i) => one.cancelOne(`n${i % 1000}`)));
      },
    );
    return { ratios: b.map((value, i) => value / a[i]!), set: b, send: a };
  });
}

async function atOnce(settings: Settings): Promise<number> {
  return onScratchFolder(async (dataDir) => {
    const count = sized(settings, { smoke: 1_000, quick: 20_000, full: 100_000 });
    const stopped = await start(dataDir);
    const due = now() + sized(settings, { smoke: 2_000, quick: 5_000, full: 15_000 });
    await setOver(stopped, count, due, 0);
    await stopped.timers.list({ limit: 1 }); // the tables have all
    await stopped.close();
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - now())));
    await using runtime = await start(dataDir);
    const began = performance.now();
    await whenRung(runtime, count, () => {});
    return count / ((performance.now() - began) / 1000);
  });
}

async function pendingBytes(settings: Settings): Promise<number> {
  return onScratchFolder(async (dataDir) => {
    await using runtime = await start(dataDir);
    const count = sized(settings, { smoke: 1_000, quick: 100_000, full: 1_000_000 });
    const before = heapBytes();
    await setOver(runtime, count, now() + 60 * 60_000, 0);
    await runtime.timers.list({ limit: 1 });
    return (heapBytes() - before) / count;
  });
}

export const timers: Suite = async (settings) => {
  const late: { p50: number[]; p99: number[] } = { p50: [], p99: [] };
  for (let round = 0; round < roundsOf(settings, 5); round++) {
    const latencies = await lateness(settings);
    late.p50.push(latencies.at(0.5));
    late.p99.push(latencies.at(0.99));
  }
  const cost = await setCost(settings);
  const rates: number[] = [];
  for (let round = 0; round < roundsOf(settings, 5); round++) rates.push(await atOnce(settings));
  const bytes = [await pendingBytes(settings)];
  const detail = 'a thousand a second, of a thousand aggregates; none was early';
  return [
    answer('timer-late-p50', late.p50, detail),
    answer('timer-late-p99', late.p99, detail),
    answer('timer-set', cost.ratios, `p50 ${micros(median(cost.set))} beside ${micros(median(cost.send))}: in turn`),
    answer('timer-backlog', rates, `from a start on, read from the tables; ${thousands(median(rates))}/s`),
    answer('timer-bytes', bytes, 'of the heap, over all that are pending'),
  ];
};

await runAlone(import.meta.url, timers);
