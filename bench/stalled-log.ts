// raise() while the log thread stands still for 50 ms at a time, as it would in an fsync of its own: the ring is there for
// that. The stall is made by stall.ts, loaded before everything else in every thread of a process of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { answer, micros, onScratchFolder, roundsOf, runAlone, type Suite, sized } from './measure.ts';
import type { Stalled } from './raise-while-stalled.ts';

const at = (file: string): URL => new URL(file, import.meta.url);

async function round(seconds: number): Promise<Stalled> {
  return onScratchFolder(async (dataDir) => {
    const slow = process.env.TRUNKLINE_BENCH_SLOW === undefined ? [] : ['--import', at('./slow.ts').href];
    const program = fileURLToPath(at('./raise-while-stalled.ts'));
    const flags = ['--import', at('./stall.ts').href, ...slow, program, dataDir, String(seconds)];
    const child = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'inherit'], timeout: 60_000 });
    const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    return JSON.parse(output) as Stalled;
  });
}

export const stalledLog: Suite = async (settings) => {
  const seconds = sized(settings, { smoke: 0.2, quick: 1, full: 4 });
  const rounds: Stalled[] = [];
  for (let i = 0; i < roundsOf(settings, 5); i++) rounds.push(await round(seconds));
  const { raises, commits, p50 } = rounds.at(-1)!;
  return [
    answer(
      'stalled-raise',
      rounds.map(({ p999 }) => p999),
      `p50 ${micros(p50)}; ${raises} raises in ${commits} commits of the last round, 64 commands of 20 in flight`,
    ),
  ];
};

await runAlone(import.meta.url, stalledLog);
