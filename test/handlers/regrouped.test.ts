// A transaction's own entry says that it has happened to the next one of the same first event. A batch that begins in its
// middle has another first event: only the entries that are read at the start (doneAbove) keep it from happening again.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { postgres } from '../../src/index.ts';
import { administer, migratedDatabase } from '../postgres.ts';
import { scratchFolder, startSmall as startRuntime } from '../runtime/scratch.ts';
import { countEach, eventsRaised } from './regrouped.ts';

const service = new URL('./regrouped-service.ts', import.meta.url).pathname;

test('what a batch had done happens once, however its events are grouped after a kill', async () => {
  const [dataDir, connectionString] = [scratchFolder(), await migratedDatabase()];
  await administer(connectionString, 'create table counted (version int)');
  const args = ['--conditions=trunkline-source', service, dataDir, connectionString];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'inherit', 'inherit'], timeout: 60_000 });
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
  const counted = (): Promise<{ version: number }[]> =>
    administer(connectionString, 'select version from counted order by version');
  const before = await counted();
  expect(before).toHaveLength(5);

  const runtime = await startRuntime({ dataDir, store: postgres({ connectionString }) });
  const subscription = runtime.subscribe({ name: 'batches', batch: { max: 3 }, handle: countEach });
  await subscription.caughtUpTo(runtime.status().written);
  const versions = Array.from({ length: eventsRaised }, (_, i) => ({ version: i + 1 }));
  expect(await counted()).toEqual(versions);
});
