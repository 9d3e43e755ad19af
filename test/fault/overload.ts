// Overload: ten times what a shard can do, ten times what a sink takes, and a sink that takes nothing. What is too much is
// refused by a typed error; memory stays within what the configuration allows; what is admitted is served in time, for it
// has room in the log; and then all is as before.
// Soak: the same load for a long time, and nothing that grows.
import { join } from 'node:path';
import { runChild } from './child.ts';
import type { Family, FaultRun } from './family.ts';
import type { OverloadLine, OverloadSettings, Spell } from './overload-child.ts';
import { slopeOf } from './slope.ts';

const megabyte = 1 << 20;
// Rings, log map, batches and the reserve of V8: far less than what ten times the rate would pile up if nobody refused it.
const growthMostBytes = 192 * megabyte;
const logMostBytes = 2 * (8 << 20);
const backMostMs = 5_000;
const latencyMost = 3;
const leastForASlope = 300; // seconds: a step of the log file, or of the heap, is no slope
const hourlyMost = { heap: 48 * megabyte, descriptors: 4, log: 4 * megabyte };
const startBoundMs = 120_000;

export const overload: Family = {
  about:
    'ten times the sustainable rate, by a slow shard, a slow sink, a standing one: refused, bounded, and over at once',
  sizes: { seconds: 5, judgeLatency: 1 },
  missing: () => (process.platform === 'linux' ? undefined : 'needs Linux: it counts in /proc'),
  async run(run) {
    for (const bottleneck of ['shard', 'sink', 'standing sink'] as const) {
      const { lines } = await serve(run, { bottleneck, workMs: bottleneck === 'shard' ? 2 : 0.2 });
      judge(run, bottleneck, lines);
    }
  },
};

export const soak: Family = {
  about: 'the same load, 70 % of what it can take, for long: memory, descriptors and log stay as they are',
  sizes: { seconds: 20 },
  missing: overload.missing!,
  async run(run) {
    const { lines } = await serve(run, { bottleneck: 'nothing', workMs: 0.2 }, ['--expose-gc']);
    const samples = lines.filter((line) => line.kind === 'sample');
    const half = samples.slice(samples.length >> 1);
    const sampleMs = (half.at(-1)!.atMs - half[0]!.atMs) / (half.length - 1);
    const hourly = (values: number[]): number => (slopeOf(values) * 3_600_000) / sampleMs;
    const slopes = {
      heap: hourly(half.map(({ heapBytes }) => heapBytes)),
      descriptors: hourly(half.map(({ descriptors }) => descriptors)),
      log: hourly(half.map(({ logBytes }) => logBytes)),
    };
    const rss = hourly(half.map(({ rssBytes }) => rssBytes));
    const { heap, descriptors, log } = slopes;
    run.notes.push(
      `an hour: heap ${mib(heap)}, rss ${mib(rss)}, log ${mib(log)}, descriptors ${descriptors.toFixed(1)}`,
    );
    const spell = spellOf(lines, 'normal');
    if (spell) run.findings.acknowledged += spell.admitted;
    if (run.size('seconds') < leastForASlope) return;
    for (const [what, slope] of Object.entries(slopes)) {
      if (slope > hourlyMost[what as keyof typeof hourlyMost]) run.fail(`${what} grows by ${slope} an hour`);
    }
  },
};

async function serve(
  run: FaultRun,
  what: Pick<OverloadSettings, 'bottleneck' | 'workMs'>,
  options: string[] = [],
): Promise<{ lines: OverloadLine[] }> {
  const folder = run.folder();
  const argument: OverloadSettings = { dataDir: join(folder, 'data'), seconds: run.size('seconds'), ...what };
  const boundMs = startBoundMs + 3_000 * argument.seconds;
  const { lines, end, timedOut, trouble } = await runChild<OverloadLine>({
    ...{ program: './overload-child.ts', argument, options, boundMs },
  });
  if (timedOut || end !== 0) run.fail(`${what.bottleneck}: ${timedOut ? 'it hangs' : `ended with ${end}`} ${trouble}`);
  for (const line of lines) if (line.kind === 'wrong') run.fail(`${what.bottleneck}: ${line.what}`);
  run.drop(folder);
  return { lines };
}

function judge(run: FaultRun, name: string, lines: readonly OverloadLine[]): void {
  const [normal, over, after] = (['normal', 'overload', 'after'] as const).map((spell) => spellOf(lines, spell));
  if (!normal || !over || !after) return run.fail(`${name}: it does not come to its end`);
  const samples = lines.filter((line) => line.kind === 'sample');
  const before = samples[0]!.rssBytes;
  const growth = Math.max(...samples.map(({ rssBytes }) => rssBytes)) - before;
  const log = Math.max(...samples.map(({ logBytes }) => logBytes));
  const backMs = lines.find((line) => line.kind === 'back')!.ms;
  const refused = Object.values(over.refused).reduce((sum, count) => sum + count, 0);
  run.faults += refused;
  run.findings.acknowledged += normal.admitted + over.admitted + after.admitted;
  const times = ({ p50, p99 }: Spell): string => `p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)} ms`;
  run.notes.push(
    `${name}: normal ${times(normal)}; overload ${times(over)}, ${over.offered} offered, refused ` +
      `${JSON.stringify(over.refused)}; memory +${mib(growth)}, log ${mib(log)}; back in ${Math.round(backMs)} ms, ` +
      `then ${times(after)}`,
  );
  if (refused === 0) run.fail(`${name}: nobody was refused`);
  if (growth > growthMostBytes) run.fail(`${name}: memory grew by ${mib(growth)}`);
  if (log > logMostBytes) run.fail(`${name}: the log grew to ${mib(log)}`);
  if (backMs > backMostMs) run.fail(`${name}: back after ${Math.round(backMs)} ms`);
  if (run.size('judgeLatency') === 0) return;
  for (const part of ['p50', 'p99'] as const) {
    if (over[part] > latencyMost * normal[part])
      run.fail(`${name}: ${part} is ${over[part]} ms, was ${normal[part]} ms`);
  }
}

const spellOf = (lines: readonly OverloadLine[], name: string): Spell | undefined =>
  lines.filter((line) => line.kind === 'spell').find((line) => line.name === name)?.spell;
const mib = (bytes: number): string => `${(bytes / megabyte).toFixed(1)} MiB`;
