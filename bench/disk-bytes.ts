// Bytes that reach the disk per event, log and store together: at 100,000 events/s in batches, and at 5,000 commits of
// single events a second. From the kernel's own account of this process (/proc/self/io).
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { createRuntime, type Runtime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import {
  answer,
  interleave,
  median,
  onScratchFolder,
  roundsOf,
  runAlone,
  type Suite,
  sized,
  thousands,
} from './measure.ts';
import { payloadBytes, routed } from './payload.ts';

const writtenBytes = (): number => Number(/write_bytes: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))![1]);

/** Call `burst` every few milliseconds, so that `perSecond` events a second result; it says how many it has raised. Bytes per event. */
async function bytesPerEvent(
  runtime: Runtime,
  perSecond: number,
  seconds: number,
  burst: (events: number) => Promise<number>,
): Promise<{ bytes: number; perSecond: number }> {
  await runtime.reached('stored');
  const before = writtenBytes();
  const start = performance.now();
  let events = 0;
  let elapsed = 0;
  for (; elapsed < seconds; elapsed = (performance.now() - start) / 1000) {
    const due = Math.floor(elapsed * perSecond) - events;
    if (due > 0) events += await burst(due);
    await delay(1);
  }
  await runtime.reached('stored');
  return { bytes: (writtenBytes() - before) / events, perSecond: events / elapsed };
}

const reached = (rounds: readonly { perSecond: number }[]): string =>
  thousands(median(rounds.map(({ perSecond }) => perSecond)));

export const diskBytes: Suite = (settings) =>
  onScratchFolder(async (dataDir) => {
    await using runtime = await createRuntime({
      logger: false,
      dataDir,
      aggregates: [Probe],
      shards: 1,
      flush: 'latency',
    });
    const probes = Array.from({ length: 64 }, (_, i) => runtime.ref(Probe, `p${i}`));
    const seconds = sized(settings, { smoke: 0.1, quick: 0.5, full: 3 });
    const { a: batched, b: single } = await interleave(
      roundsOf(settings, 5),
      () =>
        bytesPerEvent(runtime, 100_000, seconds, async (events) => {
          const each = Math.ceil(events / probes.length);
          await Promise.all(probes.map((probe) => probe.routeMany(each)));
          return each * probes.length;
        }),
      () =>
        bytesPerEvent(runtime, 5_000, seconds, async (events) => {
          for (let i = 0; i < events; i++) await probes[i & 63]!.route(routed(i));
          return events;
        }),
    );
    return [
      answer(
        'disk-batched',
        batched.map(({ bytes }) => bytes / payloadBytes),
        `${Math.round(median(batched.map(({ bytes }) => bytes)))} bytes an event at ${reached(batched)} events/s: log and store together, with header, id and index; policy latency, a sync every 50 ms`,
      ),
      answer(
        'disk-single',
        single.map(({ bytes }) => bytes),
        `at ${reached(single)} events/s; log and store together`,
      ),
    ];
  });

await runAlone(import.meta.url, diskBytes);
