// A service that is offered what it is told: its own pace, then ten times as much, then its own again; or for a long time the
// same. Tells what was admitted, refused, and how it fared meanwhile.
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createHistogram } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { createRuntime, type Runtime, TrunklineError } from '../../src/index.ts';
import { argumentFromParent, say } from './parent.ts';
import { Slow } from './slow.ts';

export interface OverloadSettings {
  dataDir: string;
  /** What is slow; a sink that stands takes nothing at all. */
  bottleneck: 'shard' | 'sink' | 'standing sink' | 'nothing';
  seconds: number;
  workMs: number;
}

export interface Spell {
  offered: number;
  admitted: number;
  /** Milliseconds, of those admitted. */
  p50: number;
  p99: number;
  refused: Record<string, number>;
}

export type OverloadLine =
  | { kind: 'spell'; name: 'normal' | 'overload' | 'after'; spell: Spell }
  | { kind: 'sample'; atMs: number; rssBytes: number; heapBytes: number; descriptors: number; logBytes: number }
  | { kind: 'back'; ms: number }
  | { kind: 'wrong'; what: string };

const settings = await argumentFromParent<OverloadSettings>();
const { dataDir, bottleneck, seconds, workMs } = settings;
const tell = (line: OverloadLine): void => say(JSON.stringify(line));
const paceFile = join(dataDir, '..', 'pace');
const bySink = bottleneck === 'sink' || bottleneck === 'standing sink';
const sinkRate = 100; // events a second: far less than the shard can do, so that it is the sink alone that is outrun
const text = 'x'.repeat(bySink ? 8_000 : 100); // the log is full within a second
const collect = (globalThis as { gc?: () => void }).gc;
const sampleMs = collect ? 1000 : 250; // where the heap counts, it is looked at when nothing is left to collect
const share = 0.7;
const overloadFactor = 10;

const runtime = await createRuntime({
  logger: false,
  ...{ dataDir, aggregates: [Slow], shards: 1 },
  // Few in flight: whoever is admitted waits for few others.
  maxInFlight: bottleneck === 'shard' ? 3 : 1000,
  flush: { whenFull: 'reject', ringBytes: 1 << 18, batchBytes: 1 << 17 },
  log: { maxBytes: 8 << 20, retainBytes: 1 << 18 },
  sinks: [{ name: 'slow', module: import.meta.resolve('./slow.ts'), options: { paceFile } }],
});
const sampling = setInterval(sample, sampleMs);
const measured = await measure(runtime);
const capacity = bySink ? sinkRate : measured;
if (bottleneck === 'nothing') await offer(runtime, 'normal', share * capacity, seconds);
else await outrun(runtime);
clearInterval(sampling);
await runtime.close();
process.exit(0);

async function outrun(runtime: Runtime): Promise<void> {
  await offer(runtime, 'normal', share * capacity, Math.min(10, seconds));
  if (bySink) writeFileSync(paceFile, bottleneck === 'sink' ? `${1000 / sinkRate}` : 'Infinity');
  await offer(runtime, 'overload', overloadFactor * capacity, seconds);
  rmSync(paceFile, { force: true });
  const began = performance.now();
  // Back: as many commands in a row as a normal quarter of a second has, and none refused.
  for (let inARow = 0; inARow < Math.max(20, (share * capacity) / 4) && performance.now() - began < 60_000; ) {
    inARow = (await refusalOf(runtime)) === undefined ? inARow + 1 : 0;
  }
  tell({ kind: 'back', ms: performance.now() - began });
  await offer(runtime, 'after', share * capacity, Math.min(5, seconds));
}

/** Commands a second, one behind the other. */
async function measure(runtime: Runtime): Promise<number> {
  const began = performance.now();
  let done = 0;
  for (; performance.now() - began < 1_000; done++) await refusalOf(runtime);
  return (1000 * done) / (performance.now() - began);
}

async function refusalOf(runtime: Runtime): Promise<string | undefined> {
  try {
    await runtime.ref(Slow, 'a').work(workMs, text);
    return undefined;
  } catch (error) {
    if (!(error instanceof TrunklineError)) tell({ kind: 'wrong', what: `refused by ${error}` });
    return (error as TrunklineError).code;
  }
}

/** So many commands a second, whatever becomes of them. */
async function offer(
  runtime: Runtime,
  name: 'normal' | 'overload' | 'after',
  rate: number,
  forSeconds: number,
): Promise<void> {
  const spell: Spell = { offered: 0, admitted: 0, p50: 0, p99: 0, refused: {} };
  const latencies = createHistogram(); // nanoseconds; of constant size, as what runs for long must not grow here
  const open = new Set<Promise<void>>();
  const began = performance.now();
  const one = async (): Promise<void> => {
    const sent = performance.now();
    const refusal = await refusalOf(runtime);
    if (refusal === undefined) latencies.record(Math.round((performance.now() - sent) * 1e6));
    else spell.refused[refusal] = (spell.refused[refusal] ?? 0) + 1;
  };
  for (let now = began; now - began < forSeconds * 1000; now = performance.now()) {
    for (; spell.offered < ((now - began) / 1000) * rate; spell.offered++) {
      const sending: Promise<void> = one().finally(() => open.delete(sending));
      open.add(sending);
    }
    await pause(1);
  }
  await Promise.all(open);
  const at = (percent: number): number => latencies.percentile(percent) / 1e6;
  tell({ kind: 'spell', name, spell: { ...spell, admitted: latencies.count, p50: at(50), p99: at(99) } });
}

function sample(): void {
  collect?.();
  const { rss: rssBytes, heapUsed: heapBytes } = process.memoryUsage();
  const descriptors = readdirSync('/proc/self/fd').length;
  tell({
    kind: 'sample',
    atMs: performance.now(),
    rssBytes,
    heapBytes,
    descriptors,
    logBytes: statSync(join(dataDir, 'log/log.mdb')).size,
  });
}
