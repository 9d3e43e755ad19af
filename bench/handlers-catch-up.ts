// Durable handlers reading what has happened: catch-up of a handler that does nothing, replay, and 200 subscriptions of which
// one wants the events, against that one alone.
import { createRuntime, type Runtime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import { interleave, median, onScratchFolder, type Row, runAlone, type Suite, thousands, times } from './measure.ts';

let named = 0;

async function catchUp(runtime: Runtime, handle: () => unknown): Promise<number> {
  const { written } = runtime.status();
  let count = 0;
  const begun = performance.now();
  const subscription = runtime.subscribe({
    name: `catch-up-${named++}`,
    handle() {
      count++;
      return handle();
    },
  });
  await subscription.caughtUpTo(written, { timeoutMs: 600_000 });
  const rate = count / ((performance.now() - begun) / 1000);
  await subscription.close();
  return rate;
}

async function replay(runtime: Runtime): Promise<number> {
  return (await runtime.replay({ into: () => {} })).eventsPerSecond;
}

/** Microseconds an event, live, of one subscription that wants it beside `idle` others that do not. */
async function live(runtime: Runtime, idle: number, commands: number): Promise<number> {
  const perCommand = 100;
  const others = Array.from({ length: idle }, (_, i) =>
    runtime.subscribe({ name: `idle-${named++}-${i}`, events: ['Nothing'], from: 'now', handle() {} }),
  );
  const wanting = runtime.subscribe({ name: `wanting-${named++}`, from: 'now', handle() {} });
  const all = [...others, wanting];
  while (all.some((one) => one.status().state !== 'live')) await new Promise((resolve) => setTimeout(resolve, 1));
  const before = process.threadCpuUsage();
  await Promise.all(
    Array.from({ length: commands }, (_, i) => runtime.ref(Probe, `live${i % 50}`).routeMany(perCommand)),
  );
  await wanting.caughtUpTo(runtime.status().written, { timeoutMs: 600_000 });
  const { user, system } = process.threadCpuUsage(before);
  await Promise.all(all.map((one) => one.close()));
  return (user + system) / (commands * perCommand);
}

export const handlersCatchUp: Suite = ({ smoke }) =>
  onScratchFolder(async (dataDir): Promise<Row[]> => {
    await using runtime = await createRuntime({ dataDir, aggregates: [Probe], shards: 1 });
    const aggregates = smoke ? 10 : 5000;
    await Promise.all(Array.from({ length: aggregates }, (_, i) => runtime.ref(Probe, `p${i}`).routeMany(100)));
    await runtime.reached('stored');
    const rounds = smoke ? 1 : 5;
    const rates = await interleave(
      rounds,
      () => catchUp(runtime, () => {}),
      () => catchUp(runtime, async () => {}),
    );
    const replays = await interleave(
      rounds,
      () => replay(runtime),
      async () => 0,
    );
    const commands = smoke ? 10 : 1000;
    const many = await interleave(
      smoke ? 1 : 3,
      () => live(runtime, 0, commands),
      () => live(runtime, 199, commands),
    );
    const [plain, promised, replayed] = [median(rates.a), median(rates.b), median(replays.a)];
    const ratio = median(many.b) / median(many.a);
    const detail = `${aggregates * 100} events in the embedded store; checkpoint at most once in 20 ms`;
    return [
      {
        measure: 'durable handler (no-op), catch-up, events/s',
        asked: '≥ 300,000',
        measured: thousands(plain),
        holds: plain >= 300_000,
        detail: `${detail}; with an async no-op ${thousands(promised)}`,
      },
      {
        measure: 'replay into a function, embedded store, events/s',
        asked: '≥ 500,000',
        measured: thousands(replayed),
        holds: replayed >= 500_000,
        detail: 'runtime.replay, every event decoded but for its payload',
      },
      {
        measure: '200 subscriptions of which one matches, against one, CPU of the thread',
        asked: '≤ 1.5 ×',
        measured: times(ratio),
        holds: ratio <= 1.5,
        detail: `${median(many.a).toFixed(2)} µs an event with one, ${median(many.b).toFixed(2)} µs with 200, commands included`,
      },
    ];
  });

await runAlone(import.meta.url, handlersCatchUp);
