// Nothing of the store outlives its closing.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { freshDatabase } from '../../postgres.ts';
import { temporaryFolder } from '../sample.ts';

test('a process that has closed the store has nothing left to wait for', async () => {
  const program = fileURLToPath(new URL('./closing-child.ts', import.meta.url));
  const dataDir = join(temporaryFolder(onTestFinished), 'data');
  const options = { encoding: 'utf8', timeout: 50_000 } as const;
  const flags = ['--conditions=trunkline-source', program, await freshDatabase(), dataDir];
  expect(JSON.parse(execFileSync(process.execPath, flags, options))).toEqual([]);
});
