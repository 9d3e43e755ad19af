// One command at a time, waiting for `stored`: the log's transaction, its fdatasync, and the store's own transaction.
import { createRuntime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import {
  answer,
  Latencies,
  micros,
  oneAtATime,
  onScratchFolder,
  roundsOf,
  runAlone,
  type Suite,
  sized,
} from './measure.ts';
import { routed } from './payload.ts';

export const commandToStore: Suite = (settings) =>
  onScratchFolder(async (dataDir) => {
    await using runtime = await createRuntime({
      logger: false,
      dataDir,
      aggregates: [Probe],
      shards: 1,
      flush: 'durable',
    });
    const [synced, stored] = (['synced', 'stored'] as const).map((ack) => runtime.ref(Probe, ack).with({ ack }));
    const count = sized(settings, { smoke: 3, quick: 200, full: 1000 });
    const [toSynced, toStored] = [new Latencies(), new Latencies()];
    const rounds: number[] = [];
    for (let round = 0; round <= roundsOf(settings, 7); round++) {
      const a = await oneAtATime(count, (i) => synced!.route(routed(i)));
      const b = await oneAtATime(count, (i) => stored!.route(routed(i)));
      if (round === 0) continue; // warm
      toSynced.add(a);
      toStored.add(b);
      rounds.push(b.at(0.5));
    }
    settings.draw('Trunkline: synced', toSynced);
    settings.draw('Trunkline: stored (embedded)', toStored);
    const told = (latencies: Latencies): string =>
      `p50 ${micros(latencies.at(0.5))}, p99 ${micros(latencies.at(0.99))}`;
    return [answer('store-event', rounds, `stored ${told(toStored)}; synced ${told(toSynced)}; one at a time`)];
  });

await runAlone(import.meta.url, commandToStore);
