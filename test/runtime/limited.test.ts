// Limits on the size of files (`ulimit -f`, a quota) and on their number (inodes) are a full disk to the service.
import { execFile } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { createRuntime, isError } from '../../src/index.ts';
import { SmallDisk } from '../small-disk.ts';
import { Counter } from './aggregates.ts';
import { scratchFolder, until } from './scratch.ts';

test('where no file may grow any more: refused for a full disk, closed in time, nothing lost', async () => {
  const dataDir = join(scratchFolder(), 'data');
  const program = fileURLToPath(new URL('./limited-process.ts', import.meta.url));
  const words = [`--fsize=${6 << 20}`, process.execPath, '--conditions=trunkline-source', program, dataDir];
  const { stdout } = await promisify(execFile)('prlimit', words);
  const { acknowledged, ...how } = JSON.parse(stdout) as { acknowledged: number };
  expect(how).toEqual({
    refused: { diskIsFull: true },
    state: 'open',
    retentionIsGivenUp: true,
    closed: 'CloseTimedOut',
    short: expect.stringMatching(/^the disk is short: the log gives up what it retains /),
    said: 'the disk is full: the log takes no commands until there is room on it',
  });
  expect(acknowledged).toBeGreaterThan(50);
  await using runtime = await createRuntime({ dataDir, aggregates: [Counter], shards: 1, logger: false });
  let found = 0;
  for await (const _ of runtime.events()) found++;
  expect(found).toBeGreaterThanOrEqual(acknowledged);
  await runtime.ref(Counter, 'c').add(1);
});

test('where no file may be made any more: a subscription says so, and begins once one may (needs root)', async () => {
  using disk = SmallDisk.mount(64 << 20, scratchFolder(), 40);
  const dataDir = join(disk.path, 'data');
  const said: unknown[] = [];
  const hear = ({ err }: { err?: unknown }): void => void said.push(err);
  const logger = { debug() {}, info() {}, warn: hear, error: hear };
  await using runtime = await createRuntime({ dataDir, aggregates: [Counter], shards: 1, logger });
  const files: string[] = [];
  const makeAll = (): void => {
    for (;;) {
      const file = join(disk.path, String(files.length));
      writeFileSync(file, '');
      files.push(file);
    }
  };
  expect(makeAll).toThrow(expect.objectContaining({ code: 'ENOSPC' }));
  const handled: number[] = [];
  const subscription = runtime.subscribe({ name: 'all', handle: ({ version }) => void handled.push(version) });
  await until(
    () => said,
    (errors) => errors.some((error) => isError(error, 'StoreUnavailable') && /inodes/.test(error.details.cause)),
  );
  const { position } = await runtime.ref(Counter, 'c').add(1);
  for (const file of files) rmSync(file);
  await subscription.caughtUpTo(position);
  const next = await runtime.ref(Counter, 'c').add(1);
  await subscription.caughtUpTo(next.position);
  expect(handled.at(-1)).toBe(2);
});
