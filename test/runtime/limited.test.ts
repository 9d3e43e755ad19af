// A limit on the size of files, as `ulimit -f` or a quota sets one, is a full disk to the service.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { createRuntime } from '../../src/index.ts';
import { Counter } from './aggregates.ts';
import { scratchFolder } from './scratch.ts';

test('where no file may grow any more: refused for a full disk, closed in time, nothing lost', async () => {
  const dataDir = join(scratchFolder(), 'data');
  const program = fileURLToPath(new URL('./limited-process.ts', import.meta.url));
  const words = [`--fsize=${6 << 20}`, process.execPath, '--conditions=trunkline-source', program, dataDir];
  const { stdout } = await promisify(execFile)('prlimit', words);
  const { acknowledged, ...how } = JSON.parse(stdout) as { acknowledged: number };
  expect(how).toEqual({
    refused: { diskIsFull: true },
    state: 'open',
    closed: 'CloseTimedOut',
    said: 'the disk is full: the log takes no commands until there is room on it',
  });
  expect(acknowledged).toBeGreaterThan(50);
  await using runtime = await createRuntime({ dataDir, aggregates: [Counter], shards: 1, logger: false });
  let found = 0;
  for await (const _ of runtime.events()) found++;
  expect(found).toBeGreaterThanOrEqual(acknowledged);
  await runtime.ref(Counter, 'c').add(1);
});
