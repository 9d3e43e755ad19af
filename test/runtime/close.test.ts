import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createRuntime } from '../../src/index.ts';
import { Counter } from './aggregates.ts';
import { errorOf, scratchFolder, startRuntime } from './scratch.ts';

test('close drains what is in flight, then refuses; it is idempotent', async () => {
  const runtime = await startRuntime({ shards: 2 });
  const inFlight = [runtime.ref(Counter, 'a').addSlowly(1, 20), runtime.ref(Counter, 'b').add(1)];
  const closing = [runtime.close(), runtime.close()];
  expect((await errorOf(runtime.ref(Counter, 'a').add(1))).code).toBe('RuntimeClosed');
  expect((await Promise.all(inFlight)).map(({ version }) => version)).toEqual([1, 1]);
  await Promise.all(closing);
  await runtime.close();
  expect(runtime.status()).toMatchObject({ state: 'closed', inFlight: 0 });
  expect((await errorOf(runtime.ref(Counter, 'a').add(1))).code).toBe('RuntimeClosed');
});

test('everything acknowledged is stored after close', async () => {
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir, flush: 'latency' });
  const { position } = await runtime.ref(Counter, 'a').addMany(50);
  await runtime.close();
  expect(runtime.status().stored).toBeGreaterThanOrEqual(position);
});

test('a process ends by itself after close', () => {
  const program = new URL('./ends.ts', import.meta.url).pathname;
  const result = spawnSync(process.execPath, ['--conditions=trunkline-source', program, scratchFolder()], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  expect(result.stderr).toBe('');
  expect(result.stdout.trim()).toBe('closed at version 1');
  expect(result.status).toBe(0);
});

test('a data directory has one owner, and is free again after close', async () => {
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir });
  expect(await errorOf(createRuntime({ logger: false, dataDir, aggregates: [Counter] }))).toMatchObject({
    code: 'DataDirInUse',
    details: { dataDir: expect.stringContaining('data') },
  });
  await runtime.close();
  await (await startRuntime({ dataDir })).close();
});

test('options that contradict each other are refused before anything is touched', async () => {
  const dataDir = scratchFolder();
  const error = await errorOf(
    createRuntime({ logger: false, dataDir, aggregates: [Counter], log: { maxBytes: 1 << 20, retainBytes: 2 << 20 } }),
  );
  expect(error).toMatchObject({ code: 'InvalidOptions', details: { option: 'log.retainBytes' } });
  expect(existsSync(dataDir)).toBe(false);
});

test('starting and closing leaves no threads and no descriptors behind', async () => {
  const threads = (): number => readdirSync('/proc/self/task').length;
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  await (await startRuntime()).close();
  const before = { threads: threads(), descriptors: descriptors() };
  for (let i = 0; i < 5; i++) {
    const runtime = await startRuntime();
    await runtime.ref(Counter, 'a').add(1);
    await runtime.close();
  }
  expect(threads()).toBeLessThanOrEqual(before.threads);
  expect(descriptors()).toBeLessThanOrEqual(before.descriptors);
});
