// One command at a time, waiting for `written`, against a bare MessagePort round trip with the same payload.
import { Worker } from 'node:worker_threads';
import { createRuntime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import {
  answer,
  interleave,
  Latencies,
  median,
  micros,
  oneAtATime,
  onScratchFolder,
  roundsOf,
  runAlone,
  type Suite,
  sized,
} from './measure.ts';
import { routed } from './payload.ts';

const echo = `require('node:worker_threads').parentPort.on('message', function (m) { this.postMessage(m); });`;

export const oneCommand: Suite = (settings) =>
  onScratchFolder(async (dataDir) => {
    await using runtime = await createRuntime({
      logger: false,
      dataDir,
      aggregates: [Probe],
      shards: 1,
      flush: 'latency',
    });
    const worker = new Worker(echo, { eval: true });
    const roundTrip = (data: unknown): Promise<void> =>
      new Promise((resolve) => {
        worker.once('message', () => resolve());
        worker.postMessage(data);
      });
    const probe = runtime.ref(Probe, 'one');
    const count = sized(settings, { smoke: 300, quick: 2000, full: 4000 });
    const { a: commands, b: bare } = await interleave(
      roundsOf(settings, 15),
      () => oneAtATime(count, (i) => probe.route(routed(i))),
      () => oneAtATime(count, (i) => roundTrip(routed(i))),
    );
    await worker.terminate(); // runs no native code of ours
    const [ours, theirs] = [new Latencies(), new Latencies()];
    for (const latencies of commands) ours.add(latencies);
    for (const latencies of bare) theirs.add(latencies);
    settings.draw('Trunkline: written', ours);
    settings.draw('MessagePort round trip', theirs);
    const p50 = commands.map((latencies) => latencies.at(0.5));
    const detail = `command p50 ${micros(ours.at(0.5))}, p99 ${micros(ours.at(0.99))}, p99.9 ${micros(ours.at(0.999))}; bare p50 ${micros(median(bare.map((b) => b.at(0.5))))}; ${count} a round, in turn`;
    return [
      answer(
        'command-ratio',
        p50.map((value, i) => value / bare[i]!.at(0.5)),
        detail,
      ),
      answer('command-p50', p50, 'the same'),
      answer(
        'operation-impact',
        commands.map((latencies) => latencies.at(0.95)),
        'the whole command, raise and log included',
      ),
    ];
  });

await runAlone(import.meta.url, oneCommand);
