// Every suite, by its file's name, in the order in which they run. Each runs in a process of its own, so that none sees what
// another has left behind; it tells its rows to the run that started it.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Told } from './measure.ts';
import type { Scale } from './scale/scale.ts';

export const suites: readonly string[] = [
  'serialise-payload',
  'raise-in-command',
  'stalled-log',
  'one-command',
  'commands-in-flight',
  'publish-from-caller',
  'paced-road',
  'written-and-synced',
  'command-to-store',
  'disk-bytes',
  'replay-from-store',
  'upcasting',
  'rehearse',
  'rehearse-live',
  'timers',
  'handlers-catch-up',
  'handlers-live',
  'handlers-postgres',
  'idle-actors',
  'import',
  'start-after-kill',
  'log-size',
  'save-with-tx',
  'postgres-flush',
  'postgres-replay',
  'postgres-lag',
  'kafka-flusher',
  'kafka-lag',
  'kafka-hangs',
  'publish-async',
];

export type Size = 'smoke' | 'quick' | 'full';

/** A suite that hangs is ended, and the run goes on with an error. */
const limitMs: Readonly<Record<Size, number>> = { smoke: 60_000, quick: 120_000, full: 30 * 60_000 };

/** How each cost grows: files of bench/scale. */
export const scales: readonly string[] = ['in-flight', 'log-size', 'aggregates', 'shards', 'payload'];

/** Run a program of the bench in a process of its own; resolves to what it tells. `nodeOptions`: further ones of its node. */
async function runProgram<T>(name: string, size: Size, nodeOptions: readonly string[]): Promise<T> {
  const file = fileURLToPath(new URL(`./${name}.ts`, import.meta.url));
  const child = fork(file, size === 'full' ? [] : [`--${size}`], {
    execArgv: ['--conditions=trunkline-source', ...nodeOptions],
  });
  const limit = setTimeout(() => child.kill('SIGKILL'), limitMs[size]);
  try {
    return await new Promise<T>((resolve, reject) => {
      let told: T | undefined;
      child.once('message', (message) => {
        told = message as T;
      });
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        if (told !== undefined && code === 0) resolve(told);
        else reject(new Error(`${name} ended with ${signal ?? code}`));
      });
    });
  } finally {
    clearTimeout(limit);
  }
}

export function runSuite(name: string, size: Size, nodeOptions: readonly string[] = []): Promise<Told> {
  const slowing = process.env.TRUNKLINE_BENCH_SLOW !== undefined;
  const slow = slowing ? ['--import', new URL('./slow.ts', import.meta.url).href] : [];
  return runProgram(name, size, [...slow, ...nodeOptions]);
}

export const runScale = (name: string, size: Size): Promise<Scale> => runProgram(`scale/${name}`, size, []);
