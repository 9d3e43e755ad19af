import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createRuntime, type Runtime, type StoredEvent } from '../../src/index.ts';
import { Counter } from './aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from './scratch.ts';

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

test('handlers that sleep are aborted at once where close says so, and get their events again', async () => {
  const dataDir = scratchFolder();
  const started = new Set<string>();
  const reasons = new Set<string>();
  const subscribe = (runtime: Runtime, handle: (event: StoredEvent, delivery: { signal: AbortSignal }) => unknown) =>
    runtime.subscribe({ name: 'sleeper', from: 'start', concurrency: 200, timeoutMs: 600_000, handle });
  const runtime = await startRuntime({ dataDir, shards: 1 });
  subscribe(runtime, (event, { signal }) => {
    started.add(event.aggregateId);
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        reasons.add((signal.reason as { code: string }).code);
        // Every other one does not listen.
        if (event.aggregateId.endsWith('1')) reject(signal.reason);
      });
    });
  });
  await Promise.all(Array.from({ length: 100 }, (_, i) => runtime.ref(Counter, `s${i}`).add(1)));
  await until(
    () => started.size,
    (size) => size === 100,
  );
  // The first call would leave them ten seconds; the second one does not.
  const closing = runtime.close();
  await runtime.close({ handlerGraceMs: 0 });
  await closing;
  expect([...reasons]).toEqual(['RuntimeClosed']);
  const seen = new Set<string>();
  const after = await startRuntime({ dataDir, shards: 1 });
  const subscription = subscribe(after, (event) => seen.add(event.aggregateId));
  await subscription.caughtUpTo(after.status().written);
  expect(seen.size).toBe(100);
  expect(subscription.status()).toMatchObject({ deadLetters: 0 });
  expect((await errorOf(after.close({ handlerGraceMs: -1 }))).code).toBe('InvalidOptions');
  expect((await errorOf(after.close({ handlerGrace: 1 } as never))).code).toBe('InvalidOptions');
});
