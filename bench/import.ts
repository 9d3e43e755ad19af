// What it costs to import the package, as every program does and every thread that runs an aggregate: a process that imports it
// and ends, beside one that imports nothing, in turn. From the sources, with what Node makes of them in its compile cache: the
// types have been taken off before the first round that counts.
import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { answer, median, onScratchFolder, roundsOf, runAlone, type Suite } from './measure.ts';
import { slowPath } from './slow.ts';

const slowly = slowPath('import');
const root = new URL('..', import.meta.url).pathname;
const report = 'process.stdout.write(JSON.stringify([process.cpuUsage(), process.memoryUsage.rss()]))';

interface Cost {
  /** Of all its threads: beside others' work, the time on a clock says nothing. */
  cpuMs: number;
  bytes: number;
}

/** A process of its own, from its start on. */
function run(program: string, cache: string): Cost {
  const words = ['--conditions=trunkline-source', '--input-type=module', '-e', `${program}\n${report}`];
  const env = { ...process.env, NODE_COMPILE_CACHE: cache };
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { cwd: root, env, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  const start = performance.now();
  if (program !== '' && slowly) for (let i = 0; i < 1000; i++) slowly();
  const slowedMs = performance.now() - start;
  const [{ user, system }, bytes] = JSON.parse(stdout) as [NodeJS.CpuUsage, number];
  return { cpuMs: (user + system) / 1000 + slowedMs, bytes };
}

export const importing: Suite = (settings) =>
  onScratchFolder(async (dataDir) => {
    const cache = dirname(dataDir);
    const times: number[] = [];
    const memory: number[] = [];
    const bares: number[] = [];
    const program = "await import('trunkline');";
    for (let i = 0; i <= roundsOf(settings, 15); i++) {
      const [bare, full] = [run('', cache), run(program, cache)];
      if (i === 0) continue;
      times.push(full.cpuMs / bare.cpuMs);
      memory.push(full.bytes / bare.bytes);
      bares.push(bare.cpuMs);
    }
    const detail = `a process that imports nothing takes ${Math.round(median(bares))} ms of CPU`;
    return [answer('import-time', times, detail), answer('import-memory', memory, 'resident memory as it ends')];
  });

await runAlone(import.meta.url, importing);
