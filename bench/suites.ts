// Every suite, by its file's name, in the order in which they run. Each runs in a process of its own, so that none sees what
// another has left behind; it tells its rows to the run that started it.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Told } from './measure.ts';

export const suites: readonly string[] = [
  'serialise-payload',
  'raise-in-command',
  'one-command',
  'commands-in-flight',
  'publish-from-caller',
  'paced-road',
  'written-and-synced',
  'command-to-store',
  'disk-bytes',
  'replay-from-store',
  'idle-actors',
  'start-after-kill',
  'log-size',
];

export type Size = 'smoke' | 'quick' | 'full';

/** A suite that hangs is ended, and the run goes on with an error. */
const limitMs: Readonly<Record<Size, number>> = { smoke: 60_000, quick: 120_000, full: 30 * 60_000 };

/** `nodeOptions`: further options of the suite's own node. */
export async function runSuite(name: string, size: Size, nodeOptions: readonly string[] = []): Promise<Told> {
  const file = fileURLToPath(new URL(`./${name}.ts`, import.meta.url));
  const slow =
    process.env.TRUNKLINE_BENCH_SLOW === undefined ? [] : ['--import', new URL('./slow.ts', import.meta.url).href];
  const child = fork(file, size === 'full' ? [] : [`--${size}`], {
    execArgv: ['--conditions=trunkline-source', ...slow, ...nodeOptions],
  });
  const limit = setTimeout(() => child.kill('SIGKILL'), limitMs[size]);
  try {
    return await new Promise<Told>((resolve, reject) => {
      let told: Told | undefined;
      child.once('message', (message) => {
        told = message as Told;
      });
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        if (told !== undefined && code === 0) resolve(told);
        else reject(new Error(`suite ${name} ended with ${signal ?? code}`));
      });
    });
  } finally {
    clearTimeout(limit);
  }
}
