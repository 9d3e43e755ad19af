// Durable handlers reading what has happened: catch-up of a handler that does nothing, replay, and 200 subscriptions of which
// one wants the events, against that one alone.
import { createRuntime, type Runtime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import {
  answer,
  interleave,
  median,
  micros,
  onScratchFolder,
  type Row,
  roundsOf,
  runAlone,
  type Suite,
  sized,
  thousands,
} from './measure.ts';

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

export const handlersCatchUp: Suite = (settings) =>
  onScratchFolder(async (dataDir): Promise<Row[]> => {
    await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1 });
    const aggregates = sized(settings, { smoke: 3, quick: 500, full: 5000 });
    await Promise.all(Array.from({ length: aggregates }, (_, i) => runtime.ref(Probe, `p${i}`).routeMany(100)));
    await runtime.reached('stored');
    const rounds = roundsOf(settings, 5);
    const rates = await interleave(
      rounds,
      () => catchUp(runtime, () => {}),
      () => catchUp(runtime, async () => {}),
    );
    const replays: number[] = [];
    for (let round = 0; round < rounds; round++) replays.push(await replay(runtime));
    const commands = sized(settings, { smoke: 3, quick: 100, full: 1000 });
    const many = await interleave(
      rounds,
      () => live(runtime, 0, commands),
      () => live(runtime, 199, commands),
    );
    const detail = `${aggregates * 100} events in the embedded store`;
    return [
      answer('handler-catch-up', rates.a, `${detail}, no-op; an async no-op ${thousands(median(rates.b))}`),
      answer('handler-replay', replays, `${detail}, into a function, payloads decoded when read`),
      answer(
        'handler-fan',
        many.b.map((cost, i) => cost / many.a[i]!),
        `CPU of the thread: ${micros(median(many.a))} an event with one, ${micros(median(many.b))} with 200, commands included`,
      ),
    ];
  });

await runAlone(import.meta.url, handlersCatchUp);
