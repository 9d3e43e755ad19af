// How far PostgreSQL is behind the log at a steady 5,000 events/s, and what a command costs while it hangs.
import { setTimeout as pause } from 'node:timers/promises';
import { createRuntime, migrate, postgres, type Runtime } from '../src/index.ts';
import { Probe } from './aggregates.ts';
import {
  answer,
  interleave,
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
import { routed } from './payload.ts';
import { recycleWal, withDatabase } from './postgres-bench.ts';

const perSecond = 5_000;
const tickMs = 4;

export const postgresLag: Suite = (settings) =>
  withDatabase((url, server) =>
    onScratchFolder(async (dataDir): Promise<Row[]> => {
      await migrate({ connection: url });
      if (server !== undefined) await recycleWal(url, sized(settings, { smoke: 1, quick: 8, full: 32 }));
      const store = postgres({ connectionString: url });
      await using runtime = await createRuntime({ logger: false, dataDir, aggregates: [Probe], shards: 1, store });
      const ids = Array.from({ length: 200 }, () => runtime.newId());
      await lag(runtime, ids, sized(settings, { smoke: 50, quick: 500, full: 2_000 })); // warm
      const lags: number[] = [];
      for (let round = 0; round < roundsOf(settings, 5); round++) {
        const forMs = sized(settings, { smoke: 100, quick: 500, full: 4_000 });
        lags.push(percentiles(await lag(runtime, ids, forMs)).p99 * 1000);
      }
      const rows = [answer('postgres-lag', lags, 'looked at every millisecond')];
      if (server === undefined) return rows; // of another process: not to be stopped
      const running = (): Promise<number> =>
        commands(runtime, ids, sized(settings, { smoke: 5, quick: 500, full: 5_000 }));
      const held = async (): Promise<number> => {
        server.hold();
        try {
          return await running();
        } finally {
          server.release();
        }
      };
      const { a, b } = await interleave(roundsOf(settings, 5), running, held);
      rows.push(
        answer(
          'postgres-hangs',
          b.map((value, i) => value / a[i]!),
          `${micros(median(b))} and ${micros(median(a))}, one at a time; all its processes under SIGSTOP`,
        ),
      );
      await runtime.reached('stored');
      return rows;
    }),
  );

/** Milliseconds between a position's being written and its being stored, as seen from this thread. */
async function lag(runtime: Runtime, ids: readonly string[], forMs: number): Promise<number[]> {
  const waiting: { position: number; at: number }[] = [];
  const lags: number[] = [];
  let sent = 0;
  const inFlight: Promise<unknown>[] = [];
  const start = performance.now();
  const look = (): void => {
    const { written, stored } = runtime.status();
    const now = performance.now();
    while (waiting.length > 0 && waiting[0]!.position <= stored) lags.push(now - waiting.shift()!.at);
    if (written > (waiting.at(-1)?.position ?? stored)) waiting.push({ position: written, at: now });
  };
  const timer = setInterval(look, 1);
  for (let now = 0; now < forMs; now = performance.now() - start) {
    for (; sent < (now / 1000) * perSecond; sent++) {
      inFlight.push(runtime.ref(Probe, ids[sent % ids.length]!).route(routed(sent)));
    }
    await pause(tickMs);
  }
  await Promise.all(inFlight);
  while (waiting.length > 0) await pause(1);
  clearInterval(timer);
  return lags;
}

/** p99 of commands one at a time, microseconds. */
async function commands(runtime: Runtime, ids: readonly string[], count: number): Promise<number> {
  const samples: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await runtime.ref(Probe, ids[i % ids.length]!).route(routed(i));
    samples.push((performance.now() - start) * 1000);
  }
  return percentiles(samples).p99;
}

await runAlone(import.meta.url, postgresLag);
