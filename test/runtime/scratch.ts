// A runtime on a folder of its own, and what tests do with it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach } from 'vitest';
import { createRuntime, type Runtime, type RuntimeOptions } from '../../src/index.ts';
import { Counter } from './aggregates.ts';

const folders: string[] = [];
const runtimes: Runtime[] = [];

export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-test-'));
  folders.push(folder);
  return join(folder, 'data');
}

export async function startRuntime(options: Partial<RuntimeOptions> = {}): Promise<Runtime> {
  const runtime = await createRuntime({
    logger: false,
    dataDir: scratchFolder(),
    aggregates: [Counter],
    // What follows the log does not see how many shards have written it; a shard costs a thread.
    shards: options.store === undefined && options.stream === undefined ? 2 : 1,
    ...options,
  });
  runtimes.push(runtime);
  return runtime;
}

/** One of a single shard: a shard costs a thread, and what hears of events does not see how many have written them. */
export const startSmall = (options: Partial<RuntimeOptions> = {}): Promise<Runtime> =>
  startRuntime({ shards: 1, ...options });

/** One runtime for the tests of a file that ask no other: each acts on aggregates of its own. Call it outside of tests. */
export function sharedRuntime(options: Partial<RuntimeOptions> = {}): () => Promise<Runtime> {
  let folder: string | undefined;
  let runtime: Promise<Runtime> | undefined;
  afterAll(async () => {
    await (await runtime)?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });
  return () => {
    folder ??= mkdtempSync(join(tmpdir(), 'trunkline-test-'));
    runtime ??= createRuntime({
      logger: false,
      dataDir: join(folder, 'data'),
      aggregates: [Counter],
      shards: 1,
      ...options,
    });
    return runtime;
  };
}

afterEach(async () => {
  for (const runtime of runtimes.splice(0)) await runtime.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** Look again, each time something may have changed, until it holds; fails with the last value after a generous bound. */
export async function until<T>(look: () => T | Promise<T>, holds: (value: T) => boolean, boundMs = 20_000): Promise<T> {
  const end = Date.now() + boundMs;
  for (;;) {
    const value = await look();
    if (holds(value)) return value;
    if (Date.now() > end) throw new Error(`did not come true: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export async function errorOf(
  promise: Promise<unknown>,
): Promise<{ code: string; details: any; name: string; message: string }> {
  try {
    await promise;
  } catch (error) {
    return error as never;
  }
  throw new Error('expected a rejection');
}

/** What an iteration gives, as a list. */
export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}
