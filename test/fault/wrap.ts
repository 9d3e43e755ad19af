// Rings whose counts begin just before each place where 32 bits end: a whole runtime under load, with a shard that dies while
// commands are under way. Then, by size, more bytes through a command ring than 32 bits tell apart, while one command
// waits. Each in a process of its own: a loop that does not end holds its thread, and only another process can tell.
import { execFile } from 'node:child_process';
import type { Family, FaultRun } from './family.ts';
import type { WrapFindings } from './wrap-child.ts';

const before = 48 << 10; // less than each ring takes
const begins = [2 ** 31 - before, 2 ** 32 - before, 2 ** 32 + 2 ** 31 - before, 2 ** 48 - before];
const leastMs = 120_000;
const msPerMebibyte = 200; // far more than one takes
const program = new URL('./wrap-child.ts', import.meta.url).pathname;

export const wrap: Family = {
  about: 'runtimes whose rings begin just before each wrap of their counts; 2 GiB and more past a command that waits',
  sizes: { starts: 2, commands: 200, mebibytes: 0 },
  async run(run) {
    for (const begin of begins.slice(0, run.size('starts'))) await oneRuntime(run, begin, run.size('commands'), 0);
    const mebibytes = run.size('mebibytes');
    if (mebibytes > 0) await oneRuntime(run, 0, 0, mebibytes);
  },
};

async function oneRuntime(run: FaultRun, begin: number, commands: number, mebibytes: number): Promise<void> {
  const folder = run.folder();
  const words = ['--conditions=trunkline-source', program, folder, `${begin}`, `${commands}`, `${mebibytes}`];
  const options = { timeout: leastMs + mebibytes * msPerMebibyte, killSignal: 'SIGKILL' } as const;
  const text = await new Promise<string | undefined>((resolve) => {
    execFile(process.execPath, words, options, (error, stdout) => {
      if (error) run.fail(`counts from ${begin}: ${error.killed ? 'it does not end' : error.message}`);
      resolve(error ? undefined : stdout);
    });
  });
  run.drop(folder);
  if (text === undefined) return;
  const { acknowledged, faults, lost, doubled, gapped, wrong } = JSON.parse(text) as WrapFindings;
  run.faults += faults;
  run.findings.acknowledged += acknowledged;
  run.findings.lost.push(...lost);
  run.findings.duplicated.push(...doubled);
  run.findings.gapped.push(...gapped);
  for (const what of wrong) run.fail(`counts from ${begin}: ${what}`);
}
