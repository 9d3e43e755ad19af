// From `written` to a handler having handled, at a steady rate; and from a command to a live listener, against bare
// MessagePort hops between two threads.
import { MessageChannel, Worker } from 'node:worker_threads';
import { createRuntime, type Receipt, type Runtime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import {
  answer,
  median,
  micros,
  onScratchFolder,
  percentiles,
  type Row,
  roundsOf,
  runAlone,
  type Suite,
  sized,
} from './measure.ts';

const perSecond = 5000;

/** One way from another thread to this one, p50: half of what a round trip takes. */
async function portHop(count: number): Promise<number> {
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(
    "const { workerData: port } = require('node:worker_threads'); port.on('message', (m) => port.postMessage(m));",
    { eval: true, workerData: port2, transferList: [port2] },
  );
  const hops: number[] = [];
  for (let i = 0; i < count; i++) {
    const begun = performance.now();
    const back = new Promise((resolve) => port1.once('message', resolve));
    port1.postMessage(i);
    await back;
    hops.push(((performance.now() - begun) * 1000) / 2);
  }
  port1.close();
  await worker.terminate();
  return percentiles(hops).p50;
}

/** Commands at a steady rate; microseconds from the receipt of `written` to the durable handler's call. */
async function steadily(runtime: Runtime, round: number, count: number): Promise<number[]> {
  const writtenAt = new Map<string, number>();
  const handled: number[] = [];
  const note = async (sending: Promise<Receipt<unknown>>): Promise<void> => {
    const { events } = await sending;
    writtenAt.set(events[0]!.id, performance.now());
  };
  const subscription = runtime.subscribe({
    name: `live-${round}`,
    from: 'now',
    handle(event) {
      handled.push((performance.now() - writtenAt.get(event.id)!) * 1000);
      writtenAt.delete(event.id);
    },
  });
  while (subscription.status().state !== 'live') await new Promise((resolve) => setTimeout(resolve, 1));
  const begun = performance.now();
  const sent: Promise<void>[] = [];
  for (let i = 0; i < count; ) {
    const due = Math.min(count, Math.floor(((performance.now() - begun) / 1000) * perSecond));
    for (; i < due; i++) sent.push(note(runtime.ref(Probe, `p${i % 100}`).routeMany(1)));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(sent);
  await subscription.caughtUpTo(runtime.status().written);
  await subscription.close();
  return handled;
}

/** Microseconds from a command sent to its event heard, one at a time, p50: there and back, with shard and log between. */
async function heard(runtime: Runtime, count: number): Promise<number> {
  const took: number[] = [];
  let heardAt = 0;
  const hear = (): void => {
    heardAt = performance.now();
  };
  runtime.bus.on(Probe, '*', hear);
  for (let i = 0; i < count; i++) {
    const at = performance.now();
    await runtime.ref(Probe, 'one').routeMany(1);
    took.push((heardAt - at) * 1000);
  }
  runtime.bus.off(Probe, '*', hear);
  return percentiles(took).p50;
}

export const handlersLive: Suite = (settings) =>
  onScratchFolder(async (dataDir): Promise<Row[]> => {
    await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1 });
    const events = sized(settings, { smoke: 100, quick: perSecond, full: 4 * perSecond });
    const singles = sized(settings, { smoke: 20, quick: 500, full: 3000 });
    const handled: number[] = [];
    const [listened, hops]: [number[], number[]] = [[], []];
    await steadily(runtime, 0, events); // warm
    for (let round = 1; round <= roundsOf(settings, 5); round++) {
      handled.push(percentiles(await steadily(runtime, round, events)).p99);
      listened.push(await heard(runtime, singles));
      hops.push(await portHop(singles));
    }
    return [
      answer('handler-live', handled, `${perSecond} events/s; balanced: a sync every 5 ms lies between the two`),
      answer(
        'listener-hop',
        listened.map((micro, i) => micro / (2 * hops[i]!)),
        `stricter than asked: from the command, ${micros(median(listened))}, against two hops of ${micros(median(hops))}`,
      ),
    ];
  });

await runAlone(import.meta.url, handlersLive);
