import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'trunkline-gate-'));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const program = new URL('./gate-exits.ts', import.meta.url).pathname;

test('a process that ends inside a transaction waits for it, and ends', () => {
  const argv = ['--conditions=trunkline-source', program, join(folder, 'gated.mdb'), 'gated'];
  expect(spawnSync(process.execPath, argv, { timeout: 20_000 })).toMatchObject({ status: 5, signal: null });
});
