// The gate can fail: each path that a budget runs through, slowed on purpose in the product itself (bench/slow.ts), turns it
// red, and a budget on that path is named first. Tiny sizes: the waits are far beyond any limit, on any machine.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { slowedPaths } from '../../bench/slow.ts';
import { beside, suiteOf } from './suites-of-gate.ts';

const program = fileURLToPath(new URL('../../bench/run.ts', import.meta.url));

async function gate(
  slow: string,
  suites: readonly string[],
): Promise<{ code: number; breaches: string[]; failed: string[]; last: string }> {
  const flags = ['--conditions=trunkline-source', program, '--gate', '--smoke', '--attempts', '1', ...suites];
  const env = { ...process.env, TRUNKLINE_BENCH_SLOW: slow };
  const child = spawn(process.execPath, flags, { env, stdio: ['ignore', 'pipe', 'ignore'] });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  const lines = output.trim().split('\n');
  const begins = (word: string): string[] => lines.filter((line) => line.startsWith(word));
  return { code, breaches: begins('breach: '), failed: begins('FAILED '), last: lines.at(-1)! };
}

describe('the gate turns red when a path is slow, and names it first', () => {
  test.each(slowedPaths)('%s', { timeout: 180_000 }, async (path) => {
    const isFirst = new RegExp(`path ${path}\\]$`);
    const run = () => gate(path, [...new Set([suiteOf(path), beside])]);
    let { code, breaches, failed, last } = await run();
    // What else the machine does may slow another path more, for once.
    for (let again = 0; again < 2 && !isFirst.test(breaches[0] ?? ''); again++)
      ({ code, breaches, failed, last } = await run());
    expect(failed).toEqual([]);
    expect(code).toBe(1);
    expect(breaches[0]).toMatch(isFirst);
    expect(last).toMatch(/^gate: \d+ held, [1-9]\d* breached$/);
  });
});
