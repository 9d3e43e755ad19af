// Starts that depend on a user's modules: each wait has an end, and a shard that dies as it starts is not started for ever.
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { TaskThread } from '../../src/base/thread-for-tasks.ts';
import { createRuntime, type RuntimeOptions } from '../../src/index.ts';
import { ShardPool } from '../../src/shard/pool.ts';
import type { ShardSettings } from '../../src/shard/shard-start.ts';
import { ControlBlock } from '../../src/shared/control-block.ts';
import { WorkerPool } from '../../src/subscriptions/worker-pool.ts';
import { Counter } from './aggregates.ts';
import { Redeployed } from './redeployed.ts';
import { errorOf, scratchFolder, startRuntime, until } from './scratch.ts';

const noLogger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const starts = { attempts: 3, minDelayMs: 1, maxDelayMs: 2 };

test.each(['exits', 'throws'])('a shard whose every start is of no use fails the runtime, by name: %s', async (way) => {
  const context = new URL(`./dies-always.ts?way=${way}`, import.meta.url);
  const notes = `${scratchFolder()}-notes`;
  context.searchParams.set('notes', pathToFileURL(notes).href);
  const runtime = await startRuntime({ shards: 1, context: context.href, starts });
  if (way === 'throws') await errorOf(runtime.ref(Counter, 'a').crash());
  await until(
    () => runtime.status().state,
    (state) => state === 'failed',
  );
  const error = await errorOf(runtime.ref(Counter, 'a').add(1));
  expect(error).toMatchObject({ code: 'ThreadFailed', details: { thread: 'shard 0' } });
  expect(error.details.cause).toMatch(/it has died 3 times in a row as it started: /);
  if (way === 'throws') expect(error.details.cause).toMatch(/no context today/); // whatever it says: it is no shortage
  const lastError = expect.stringContaining(error.details.cause.split(': ').at(-1));
  expect(runtime.status().downShards).toEqual([
    { shard: 0, forMs: expect.any(Number), failedStarts: way === 'exits' ? 0 : 3, lastError },
  ]);
  expect(runtime.status().shardDeathsAtStart).toBe(3);
  expect(readFileSync(notes, 'utf8')).toHaveLength(way === 'exits' ? 3 : 4);
});

const module = (way: string): string => new URL(`./never-starts.ts?way=${way}`, import.meta.url).href;
const sinks = (way: string): Partial<RuntimeOptions> => ({ sinks: [{ name: 'own', module: module(way) }] });

test.each([
  ['a sink that holds the thread when it is made', sinks('loops')],
  ['a sink that is never made', sinks('waits')],
  ['a sink that holds the thread when it opens', sinks('opens')],
  ['a context that holds its shard', { context: module('loops') }],
  ['a context that is never made', { context: module('waits') }],
  ['a context that is never imported', { context: module('imports') }],
])('a start has an end, whatever a module does: %s', async (_, options) => {
  const dataDir = scratchFolder();
  const warnings: object[] = [];
  const logger = {
    ...noLogger,
    warn: (details: object, message: string) => void warnings.push({ ...details, message }),
  };
  const all = { dataDir, logger, aggregates: [Counter], shards: 1 } as const;
  const error = await errorOf(createRuntime({ ...all, ...options, starts: { timeoutMs: 500 } }));
  expect(error).toMatchObject({ code: 'StartTimedOut', details: { timeoutMs: 500 } });
  // An operator sees what is waited for before that.
  const { what, module } = error.details;
  const message = 'a module has not started yet, and what needs it waits';
  expect(warnings).toContainEqual({ what, module, waitedMs: 125, timeoutMs: 500, message });
  // The directory is free.
  const next = await startRuntime(all);
  expect(await next.ref(Counter, 'a').add(1)).toMatchObject({ value: 1 });
});

test("a handler's module that does not load is named", async () => {
  const pool = new WorkerPool(module('imports'), 300);
  const warnings: object[] = [];
  const error = await errorOf(pool.load((_, details) => warnings.push(details)));
  expect(warnings).toEqual([{ what: 'a handler', module: module('imports'), waitedMs: 75, timeoutMs: 300 }]);
  expect(error).toMatchObject({ code: 'StartTimedOut', details: { module: module('imports'), timeoutMs: 300 } });
  await pool.close();
});

test("a handler's call that fails leaves its thread, and what its module holds, to the next", async () => {
  const pool = new WorkerPool(new URL('./counts-calls.ts', import.meta.url).href, 10_000);
  const attempt = {
    effectKey: '',
    attempt: 1,
    dryRun: true,
    signal: new AbortController().signal,
    waits: () => {},
    called: () => {},
  };
  const event = { toJSON: () => ({ occurredAt: new Date(0).toISOString() }) };
  for (let call = 1; call <= 3; call++) {
    const error = await errorOf(Promise.resolve(pool.call(event, attempt as never)));
    expect(error.message).toBe(`call ${call}`);
  }
  await pool.close();
});

afterEach(() => {
  delete process.env.TRUNKLINE_TEST_LOADS;
});

/** The first shard's start, then those of its successors: see `redeployed.ts`. */
function loads(plan: string): string {
  const file = `${scratchFolder()}-loads`;
  writeFileSync(file, plan);
  process.env.TRUNKLINE_TEST_LOADS = file;
  return `${file}.notes`;
}

test('a shard that comes back with a module that throws, or has other commands, is started again in a new thread', async () => {
  const notes = loads('gtmtmg');
  const runtime = await startRuntime({ aggregates: [Redeployed], shards: 1, starts: { ...starts, attempts: 10 } });
  await runtime.ref(Redeployed, 'a').add(1);
  await errorOf(runtime.ref(Redeployed, 'a').die());
  expect(await runtime.ref(Redeployed, 'a').add(1)).toMatchObject({ value: 2 });
  expect(runtime.status()).toMatchObject({ state: 'open', shardRestarts: 1, shardDeathsAtStart: 4 });
  expect(readFileSync(notes, 'utf8')).toBe('gtmtmg');
});

test('a shard that comes back with other commands each time fails the runtime, and every command has an end', async () => {
  loads('gmmm');
  const runtime = await startRuntime({ aggregates: [Redeployed], shards: 1, starts });
  await errorOf(runtime.ref(Redeployed, 'a').die());
  const error = await errorOf(runtime.ref(Redeployed, 'a').add(1));
  expect(error).toMatchObject({ code: 'ThreadFailed', details: { thread: 'shard 0' } });
  expect(error.details.cause).toMatch(/3 times in a row.*its commands in the shard are add,die,further/);
  expect(runtime.status().state).toBe('failed');
});

test.each([0, 2, 6])(
  'a shard comes back once descriptors are free again, whatever it failed for without: %i',
  async (spare) => {
    const program = join(import.meta.dirname, 'no-descriptors.ts');
    const node = `${process.execPath} --no-warnings --conditions=trunkline-source ${program} ${scratchFolder()} ${spare}`;
    const { stdout } = await promisify(execFile)('sh', ['-c', `ulimit -n 256; exec ${node}`]);
    const { down, ...rest } = JSON.parse(stdout);
    expect(rest).toEqual({ usedUp: 'EMFILE', value: 2, state: 'open', isHeld: false, after: [] });
    if (spare > 0) return; // it may have started in between
    expect(down).toEqual({
      shard: 0,
      forMs: expect.any(Number),
      failedStarts: expect.any(Number),
      lastError: expect.stringMatching(/EMFILE|too many open files/),
    });
    expect(down.failedStarts).toBeGreaterThanOrEqual(4);
  },
);

test('a task whose thread cannot be made, or ends before it has begun, is refused at once', async () => {
  const refused = (thread: TaskThread): Promise<Error> => errorOf(thread.run({}, [], new AbortController()));
  const { execArgv } = process;
  process.execArgv = ['--input-type=module', '--conditions'];
  const unmade = new TaskThread(new URL('./ends-at-once.ts', import.meta.url), undefined, 0);
  expect(await refused(unmade)).toMatchObject({ code: 'ERR_WORKER_INVALID_EXEC_ARGV' });
  process.execArgv = execArgv;
  await unmade.terminate(new AbortController());
  await unmade.close();
  for (const [way, message] of Object.entries({
    throws: 'no',
    exits: 'its thread has ended before it took its task',
  })) {
    const ended = new TaskThread(new URL('./ends-at-once.ts', import.meta.url), { way }, 0);
    expect((await refused(ended)).message, way).toMatch(message);
    await ended.close();
  }
});

test('a shard whose thread does not begin is given up', async () => {
  const types = [{ name: 'none', module: module('imports'), commands: [] }];
  const common = { types, controlBlock: new ControlBlock().memory, shards: 1, ringBytes: 1 << 16, moduleMs: 1 };
  const pool = new ShardPool(common as unknown as ShardSettings, { wake() {}, warning() {}, short() {}, died() {} }, 1);
  const starts = [pool.start(0, () => {}), pool.start(0, () => {})].map(errorOf);
  const cause = 'it has not begun within 2 ms'; // sooner than a thread can
  for (const error of await Promise.all(starts))
    expect(error).toMatchObject({ code: 'ThreadFailed', details: { cause } });
  await pool.ended();
});
