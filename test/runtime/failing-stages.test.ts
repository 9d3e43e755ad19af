// A start that fails leaves nothing open, whichever stage fails: each stage of the list in turn does its work, and fails then.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createRuntime, type Runtime } from '../../src/index.ts';
import { stages } from '../../src/runtime/stages.ts';
import { Counter } from './aggregates.ts';
import { errorOf, until } from './scratch.ts';

const folder = mkdtempSync(join(tmpdir(), 'trunkline-test-'));
const dataDir = join(folder, 'data');
const start = (): Promise<Runtime> => createRuntime({ logger: false, dataDir, aggregates: [Counter], shards: 1 });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What this process has of the system, and the files of the directory. */
const held = () => ({
  threads: readdirSync('/proc/self/task').length,
  descriptors: readdirSync('/proc/self/fd').length,
  atExit: process.listenerCount('exit'),
  files: readdirSync(dataDir, { recursive: true, encoding: 'utf8' }).sort(),
});
let before: ReturnType<typeof held>;

beforeAll(async () => {
  // The first run makes what stays: files of the directory, threads of Node's own pool.
  const runtime = await start();
  await runtime.subscribe({ name: 'one', events: '*', handle: () => {} }).caughtUpTo(0);
  await runtime.ref(Counter, 'a').add(1);
  await runtime.close();
  before = held();
});

test.each(stages.stages.map((stage) => ({ stage, name: stage.name })))(
  'a start that fails at $name leaves no thread, descriptor, lock or file',
  async ({ stage, name }) => {
    const original = stage.start;
    onTestFinished(() => void Object.assign(stage, { start: original }));
    let hasStarted = false;
    const fails = async (made: never): Promise<never> => {
      await original(made);
      hasStarted = true;
      throw new Error(`${name} fails`);
    };
    Object.assign(stage, { start: fails });
    expect((await errorOf(start())).message).toBe(`${name} fails`);
    expect(hasStarted).toBe(true);
    // A thread has ended before the system has taken all of it away.
    const after = await until(
      held,
      ({ threads, descriptors }) => threads <= before.threads && descriptors <= before.descriptors,
    );
    expect({ ...after, threads: before.threads, descriptors: before.descriptors }).toEqual(before);
  },
);

test('the directory is free after all of them, and nothing is lost', async () => {
  const runtime = await start();
  expect(runtime.recovery).toMatchObject({ lastEnd: 'clean' });
  expect(await runtime.ref(Counter, 'a').add(1)).toMatchObject({ version: 2 });
  await runtime.close();
});
