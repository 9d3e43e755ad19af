// Every suite and scale of the bench runs: in tiny size, whose figures mean nothing. The suites that gate.test.ts runs for
// each path are left to it: it sees that none of them fails.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { scales, suites } from '../../bench/suites.ts';
import { shareServers } from './shared-servers.ts';
import { suitesOfGate } from './suites-of-gate.ts';

const program = fileURLToPath(new URL('../../bench/run.ts', import.meta.url));

async function smoke(words: readonly string[]): Promise<{ code: number; output: string }> {
  const flags = ['--conditions=trunkline-source', program, '--smoke', ...words];
  const child = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'ignore'] });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return { code, output };
}

test('every suite that the gate’s test does not run', { timeout: 300_000 }, async () => {
  onTestFinished(await shareServers());
  const others = suites.filter((suite) => !suitesOfGate.includes(suite));
  const { code, output } = await smoke(others);
  expect(output).toMatch(/^bench: [1-9]\d* measures taken in smoke size; their figures mean nothing\n$/);
  expect(code).toBe(0);
});

test('every scale', { timeout: 300_000 }, async () => {
  const { code, output } = await smoke(['--scale']);
  expect(output).toContain(`bench: ${scales.length} scale runs in smoke size`);
  expect(code).toBe(0);
});
