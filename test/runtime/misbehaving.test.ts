// What a command does wrong hurts its own caller and nobody else; and the process can always end.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { createRuntime, type Runtime } from '../../src/index.ts';
import { ControlBlockWriter, Signal } from '../../src/shared/control-block.ts';
import { Rogue } from './rogue.ts';
import { errorOf, scratchFolder, sharedRuntime, startRuntime, until } from './scratch.ts';

const shared = sharedRuntime({ aggregates: [Rogue] });
const start = (dataDir = scratchFolder()) => startRuntime({ dataDir, aggregates: [Rogue], shards: 1 });

test.each(['throwRevoked', 'returnRevoked', 'rejectRevoked', 'returnBadThenable'] as const)(
  '%s fails as one command',
  async (command) => {
    const runtime = await shared();
    const error = await errorOf(runtime.ref(Rogue, command)[command]());
    expect(['CommandFailed', 'UnserialisableValue']).toContain(error.code);
    expect(await runtime.ref(Rogue, command).count()).toMatchObject({ value: 1, version: 1 });
    expect(runtime.status().shardRestarts).toBe(0);
  },
);

test('a thenable that resolves twice is one result', async () => {
  const rogue = (await shared()).ref(Rogue, 'twice');
  expect(await rogue.returnThenable()).toMatchObject({ value: 7, version: 1 });
  expect(await rogue.count()).toMatchObject({ value: 2 });
});

test('a stray rejection is reported, and its shard goes on', async () => {
  const warnings: unknown[] = [];
  const logger = { warn: (details: unknown) => warnings.push(details), error() {}, info() {}, debug() {} };
  const runtime = await startRuntime({ aggregates: [Rogue], shards: 1, logger: logger as never });
  expect(await runtime.ref(Rogue, 'a').stray()).toMatchObject({ value: 1 });
  await until(
    () => warnings,
    // Below `err`: beside the logger's own fields its name would stand in a line twice.
    (seen) => seen.some((details) => (details as { err?: Error }).err?.message === 'nobody awaits this'),
  );
  expect(await runtime.ref(Rogue, 'a').count()).toMatchObject({ value: 2 });
  expect(runtime.status().shardRestarts).toBe(0);
});

test.each(['hang', 'loop', 'loopLater'] as const)('close gives up on a command that does not end: %s', async (way) => {
  const dataDir = scratchFolder();
  const runtime = await start(dataDir);
  await runtime.ref(Rogue, 'a').count();
  const begun = `${dataDir}-begun`;
  const endless = errorOf(runtime.ref(Rogue, 'a')[way](begun));
  const behind = errorOf(runtime.ref(Rogue, 'a').count());
  await until(() => existsSync(begun), Boolean);
  const error = await errorOf(runtime.close({ deadlineMs: 50 }));
  expect(error).toMatchObject({
    code: 'CloseTimedOut',
    details: { deadlineMs: 50, waitingFor: ['2 commands in flight'] },
  });
  expect(await endless).toMatchObject({ code: 'OutcomeUnknown' });
  expect(['OutcomeUnknown', 'NotExecuted']).toContain((await behind).code);
  expect(runtime.status().state).toBe('closed');
  await runtime.close();
  // The directory is free, and what was raised by what never ended is not there.
  const next = await createRuntime({ logger: false, dataDir, aggregates: [Rogue], shards: 1 });
  expect(await next.ref(Rogue, 'a').count()).toMatchObject({ value: 2, version: 2 });
  await next.close();
});

// Whatever holds a stage, the directory is free after the deadline, and holds what was acknowledged.
test.each([
  {
    what: 'a sink that does not give the flush thread back',
    options: (marks: string) => ({
      sinks: [{ name: 'holding', module: new URL('./holding-sink.ts', import.meta.url).href, options: { marks } }],
    }),
    hold: (_runtime: Runtime, marks: string) => until(() => existsSync(`${marks}-begun`), Boolean),
  },
  {
    what: 'a shard whose context is never made again',
    options: (marks: string) => {
      const context = new URL('./hangs-later.ts', import.meta.url);
      context.searchParams.set('notes', pathToFileURL(marks).href);
      return { context: context.href };
    },
    hold: async (runtime: Runtime, marks: string) => {
      writeFileSync(`${marks}-exit`, '');
      await errorOf(runtime.ref(Rogue, 'other').exitWhen(`${marks}-exit`));
      await until(
        () => readFileSync(marks, 'utf8'),
        (starts) => starts === '..',
      );
    },
  },
])('close frees the directory: $what', async ({ options, hold }) => {
  const dataDir = scratchFolder();
  const marks = `${dataDir}-marks`;
  const runtime = await startRuntime({ dataDir, aggregates: [Rogue], shards: 1, ...options(marks) });
  const { position } = await runtime.ref(Rogue, 'a').count();
  await hold(runtime, marks);
  expect((await errorOf(runtime.close({ deadlineMs: 50 }))).code).toBe('CloseTimedOut');
  expect(runtime.status().state).toBe('closed');
  const next = await start(dataDir);
  expect(await next.ref(Rogue, 'a').count()).toMatchObject({ value: 2, version: 2 });
  await next.close();
  expect(next.status().stored).toBeGreaterThan(position);
});

test('close ends where a shard dies after the log was poisoned', async () => {
  const dataDir = scratchFolder();
  const runtime = await start(dataDir);
  await runtime.ref(Rogue, 'a').count();
  const file = `${dataDir}-exit`;
  const dying = errorOf(runtime.ref(Rogue, 'b').exitWhen(file));
  new ControlBlockWriter('sync', runtime['stages'].control.memory).setFlag(Signal.syncFailed, 1); // as after a sync that failed
  expect((await errorOf(runtime.ref(Rogue, 'a').count())).code).toBe('LogPoisoned');
  expect((await dying).code).toBe('LogPoisoned');
  writeFileSync(file, '');
  await until(
    () => runtime.status().shardRestarts,
    (count) => count === 1,
  );
  await runtime.close();
  await (await start(dataDir)).close();
});

test('a second close with a shorter deadline is heard', async () => {
  const runtime = await start();
  const endless = errorOf(runtime.ref(Rogue, 'a').hang());
  await runtime.ref(Rogue, 'b').count(); // by then the other has begun
  const patient = errorOf(runtime.close());
  expect(await errorOf(runtime.close({ deadlineMs: 1 }))).toMatchObject({ code: 'CloseTimedOut' });
  expect([(await patient).code, (await endless).code]).toEqual(['CloseTimedOut', 'OutcomeUnknown']);
});

test.each(['loop', 'loopLater'] as const)(
  'a shard that a command holds is named, by status and logger: %s',
  async (way) => {
    const warnings: unknown[] = [];
    const logger = { warn: (details: unknown) => warnings.push(details), error() {}, info() {}, debug() {} };
    const runtime = await startRuntime({ aggregates: [Rogue], shards: 1, logger: logger as never });
    await runtime.ref(Rogue, 'a').count();
    expect(runtime.status().heldShards).toEqual([]);
    const endless = errorOf(runtime.ref(Rogue, 'a')[way]());
    const { heldShards } = await until(
      () => runtime.status(),
      ({ heldShards }) => heldShards.length > 0,
    );
    expect(heldShards).toEqual([{ shard: 0, forMs: expect.any(Number) }]);
    expect(warnings).toContainEqual({ shard: 0 });
    await errorOf(runtime.close({ deadlineMs: 1 }));
    await endless;
  },
);

// A way costs a process: that it comes early or late is seen with the first.
test.each([
  ['exit', '60'],
  ['exit', '140'],
  ['throw', '60'],
  ['reject', '140'],
])('a process ends under load, closed or not: %s after %s ms', async (way, afterMs) => {
  const program = new URL('./exits.ts', import.meta.url).pathname;
  const dataDir = scratchFolder();
  const ended = spawnSync(process.execPath, ['--conditions=trunkline-source', program, dataDir, way, afterMs], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  expect(ended.signal).toBe(null);
  expect(ended.status).toBe(way === 'exit' ? 5 : 1);
  const acknowledged = Number(ended.stdout);
  expect(acknowledged).toBeGreaterThan(0);
  const runtime = await start(dataDir);
  expect((await runtime.ref(Rogue, 'a').count()).version).toBeGreaterThan(acknowledged);
  await runtime.close();
});
