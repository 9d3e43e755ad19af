// The gate can fail: each path that a budget runs through, slowed on purpose in the product itself (bench/slow.ts), turns it
// red, and a budget on that path is named first, before those of a suite that every command runs through. Tiny sizes: the
// waits are far beyond any limit, on any machine. One path goes through the program, which ends with 1; the others through
// what it judges by.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { budgetOf, type Row } from '../../bench/budget.ts';
import { machine } from '../../bench/machine.ts';
import { measure } from '../../bench/promise.ts';
import { slowedPaths } from '../../bench/slow.ts';
import { breaches } from '../../bench/table.ts';
import { shareServers } from './shared-servers.ts';
import { beside, suiteOf } from './suites-of-gate.ts';

const program = fileURLToPath(new URL('../../bench/run.ts', import.meta.url));
/** Something of these runs in the process of a command: it may slow the suite beside, which is then measured with them. */
const reachesCommands: readonly string[] = [
  'raise',
  'command',
  'sync',
  'store',
  'listener',
  'publish',
  'disk',
  'memory',
];

const on = machine();
let calm: Row[];

async function rowsOf(names: readonly string[]): Promise<Row[]> {
  const { rows, failed } = await measure({ names, size: 'smoke', resume: false }, on);
  expect(failed).toEqual([]);
  return rows;
}

const measureBeside = async (): Promise<void> => {
  calm = await rowsOf([beside]);
};

/** The paths of what breaches while one is slow, the worst first. */
async function breached(path: string): Promise<string[]> {
  process.env.TRUNKLINE_BENCH_SLOW = path;
  try {
    const suites = reachesCommands.includes(path) ? [...new Set([suiteOf(path), beside])] : [suiteOf(path)];
    const rows = await rowsOf(suites);
    const all = suites.includes(beside) ? rows : [...rows, ...calm];
    return breaches(all).map(({ budget, measure: what }) => (budget === undefined ? what : budgetOf(budget).path));
  } finally {
    delete process.env.TRUNKLINE_BENCH_SLOW;
  }
}

describe('the gate turns red when a path is slow, and names it first', () => {
  beforeAll(measureBeside);

  test.each(slowedPaths)('%s', { timeout: 180_000 }, async (path) => {
    // What hangs is a server of the suite's own.
    if (path !== 'hang') onTestFinished(await shareServers());
    let [first] = await breached(path);
    // What else the machine does may slow another path more, for once.
    for (let again = 0; again < 2 && first !== path; again++) {
      await measureBeside();
      [first] = await breached(path);
    }
    expect(first).toBe(path);
  });

  test('and the program ends with 1', { timeout: 120_000 }, async () => {
    const path = 'serialise';
    const flags = ['--conditions=trunkline-source', program, '--gate', '--smoke', '--attempts', '1', suiteOf(path)];
    const env = { ...process.env, TRUNKLINE_BENCH_SLOW: path };
    const child = spawn(process.execPath, flags, { env, stdio: ['ignore', 'pipe', 'ignore'] });
    const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    const lines = output.trim().split('\n');
    expect(code).toBe(1);
    expect(lines.filter((line) => line.startsWith('FAILED '))).toEqual([]);
    expect(lines.find((line) => line.startsWith('breach: '))).toMatch(new RegExp(`path ${path}\\]$`));
    expect(lines.at(-1)).toMatch(/^gate: \d+ held, [1-9]\d* breached$/);
  });
});
