// The handlers' own environment after an unclean end, or damaged on the disk: examined before it is opened, in a process that
// may crash; a typed error here, and everything but the handlers goes on.
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { dataFileOf, keyOf, openEnvironment } from '../../src/adapters/lmdb/handlers/environment.ts';
import { openingIsSafe } from '../../src/adapters/lmdb/handlers/probe.ts';
import type { Runtime } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, startSmall as startRuntime, until } from '../runtime/scratch.ts';
import { usedPagesOf } from '../store/sample.ts';

const heard: number[] = [];
const subscribe = (runtime: Runtime): ReturnType<Runtime['subscribe']> =>
  runtime.subscribe({
    name: 'all',
    handle({ version }, { tx }) {
      heard.push(version);
      tx.put('texts', String(version), 'x'.repeat(500));
    },
  });

async function filled(): Promise<{ dataDir: string; file: string }> {
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir });
  const subscription = subscribe(runtime);
  await runtime.ref(Counter, 'a').addMany(200);
  await subscription.caughtUpTo(runtime.status().written);
  await runtime.close();
  return { dataDir, file: join(dataDir, 'handlers', 'handlers.mdb') };
}

// So much of it that pages in use are hit for certain: those that are free may be anything, and are.
test.each([
  ['overwritten in the middle', (file: string) => overwrite(file, 0.1, 0.9)],
  ['overwritten from its beginning', (file: string) => overwrite(file, 0, 0.5)],
  ['cut short', (file: string) => truncateSync(file, Math.floor(usedBytesOf(file) / 8))],
  ['not LMDB', (file: string) => writeFileSync(file, 'something else')],
])(
  '%s: StoreDamaged for the handlers, the rest of the service goes on, the file stays',
  async (_, damage) => {
    const { dataDir, file } = await filled();
    damage(file);
    const damaged = readFileSync(file);
    const runtime = await startRuntime({ dataDir });
    const subscription = subscribe(runtime);
    await until(
      () => subscription.status().state,
      (state) => state === 'failed',
    );
    expect(subscription.status().lastError).toMatch(/handlers\.mdb cannot be read .*move the handlers folder aside/);
    const error = await errorOf(runtime.once('key', () => 1));
    expect(error).toMatchObject({ code: 'StoreDamaged', details: { dataDir } });
    expect((await runtime.ref(Counter, 'a').add(1)).version).toBe(201);
    await runtime.close();
    expect(readFileSync(file).equals(damaged)).toBe(true);
  },
  120_000,
);

test('pages that make no sense are not taken for the end of the table', async () => {
  const folder = join(scratchFolder(), 'handlers');
  mkdirSync(folder, { recursive: true });
  const environment = openEnvironment(folder, false);
  const put = (key: string): void =>
    environment.putSync(keyOf('texts', key), Buffer.from(JSON.stringify('x'.repeat(500))));
  environment.transactionSync(() => {
    for (let i = 0; i < 199; i++) put(`${i}`);
  });
  environment.transactionSync(() => put('199')); // its pages come last: the root, which leads to those before
  await environment.close();
  await openingIsSafe(folder);
  overwrite(dataFileOf(folder), 0.1, 0.9);
  const error = await errorOf(openingIsSafe(folder));
  expect(error).toMatchObject({ code: 'StoreDamaged' });
  expect(error.message).toMatch(/\d of its 200 entries can be read/);
});

test('an unclean end of a sound file costs a look, and nothing else', async () => {
  const { dataDir, file } = await filled();
  const marker = join(dataDir, 'handlers', 'clean');
  expect(readFileSync(marker, 'utf8')).toContain(String(statSync(file).size));
  writeFileSync(marker, 'of another file');
  heard.length = 0;
  const runtime = await startRuntime({ dataDir });
  const subscription = subscribe(runtime);
  await subscription.caughtUpTo(runtime.status().written);
  expect(heard).toEqual([]);
  expect(await runtime.effect('texts', '200')).toHaveLength(500);
});

test('one value that is garbage after an unclean end costs that value', async () => {
  const { dataDir } = await filled();
  const folder = join(dataDir, 'handlers');
  const environment = openEnvironment(folder, false);
  await environment.put(keyOf('effects:texts', '7'), Buffer.alloc(500, 0xa5));
  await environment.close();
  rmSync(join(folder, 'clean'));
  heard.length = 0;
  const told: object[] = [];
  const logger = { debug() {}, info() {}, warn() {}, error: (details: object) => told.push(details) };
  const runtime = await startRuntime({ dataDir, logger });
  const subscription = subscribe(runtime);
  await subscription.caughtUpTo(runtime.status().written);
  expect(heard).toEqual([]);
  expect(await runtime.effects.range('texts')).toHaveLength(199);
  expect(await errorOf(runtime.effects.get('texts', '7'))).toMatchObject({ code: 'RecordInvalid' });
  expect(told).toMatchObject([{ table: 'effects:texts', key: '7', broken: 1 }]);
});

/** What LMDB uses of it: the rest is its reserve. */
const usedBytesOf = (file: string): number => usedPagesOf(file) * 4096;

function overwrite(file: string, from: number, to: number): void {
  const size = usedBytesOf(file);
  const descriptor = openSync(file, 'r+');
  const garbage = Buffer.alloc(Math.floor(size * (to - from)), 0xa5);
  writeSync(descriptor, garbage, 0, garbage.length, Math.floor(size * from));
  closeSync(descriptor);
}

test('a close that has no room for its marks ends all the same; the next start looks, and goes on', async () => {
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir });
  await runtime.ref(Counter, 'a').addMany(5);
  await subscribe(runtime).caughtUpTo(runtime.status().written);
  // What stands where the marks would be written fails them as a full disk does.
  for (const folder of ['handlers', 'store'])
    mkdirSync(join(dataDir, folder, 'clean', 'in the way'), { recursive: true });
  await runtime.close();
  const second = await startRuntime({ dataDir });
  await subscribe(second).caughtUpTo(second.status().written);
  expect((await second.ref(Counter, 'a').total()).value).toBe(5);
  await second.close();
});
