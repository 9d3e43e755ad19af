// What handlers keep belongs to one log, and never stands ahead of it: a handlers folder that has been left behind beside an
// older log, or beside another one, is an error. Without that its handlers pass over new events in silence.
import { cpSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LmdbTables } from '../../src/adapters/lmdb/handlers/tables.ts';
import { checkpointTable } from '../../src/handler-state/checkpoint.ts';
import { defineProjection, type Runtime } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, startSmall as startRuntime } from '../runtime/scratch.ts';

const rows = defineProjection({
  name: 'rows',
  events: ['Added'],
  key: () => 'all',
  init: () => ({ count: 0 }),
  apply: (row: { count: number }) => ({ count: row.count + 1 }),
});

async function run<T>(dataDir: string, work: (runtime: Runtime) => Promise<T>): Promise<T> {
  const runtime = await startRuntime({ dataDir });
  try {
    return await work(runtime);
  } finally {
    await runtime.close();
  }
}

/** Add so many, and let a subscription and a projection take them. */
const handle = (dataDir: string, count: number): Promise<void> =>
  run(dataDir, async (runtime) => {
    const subscription = runtime.subscribe({ name: 'bill', handle() {} });
    const projection = runtime.project(rows);
    const last = await runtime.ref(Counter, 'a').addMany(count);
    await subscription.caughtUpTo(last);
    await projection.caughtUpTo(last);
  });

/** What the handlers of this directory say, once new events have been acknowledged. */
const asked = (dataDir: string): Promise<unknown[]> =>
  run(dataDir, async (runtime) => {
    let handled = 0;
    const subscription = runtime.subscribe({ name: 'bill', handle: () => void handled++ });
    const projection = runtime.project(rows);
    const last = await runtime.ref(Counter, 'b').with({ ack: 'stored' }).addMany(20);
    const errors = [
      await errorOf(subscription.caughtUpTo(last)),
      await errorOf(projection.get('all')),
      await errorOf(runtime.once('key', () => 1)),
    ];
    expect(handled).toBe(0);
    return errors.map((error) => (error as { code?: string })?.code);
  });

test('log and store of an older copy beside what handlers have kept since', async () => {
  const dataDir = scratchFolder();
  await handle(dataDir, 20);
  const copy = scratchFolder();
  cpSync(dataDir, copy, { recursive: true });
  await handle(dataDir, 200);
  for (const folder of ['log', 'store']) {
    rmSync(join(dataDir, folder), { recursive: true });
    cpSync(join(copy, folder), join(dataDir, folder), { recursive: true });
  }
  expect(await asked(dataDir)).toEqual(['LogDamaged', 'LogDamaged', 'LogDamaged']);
  renameSync(join(dataDir, 'handlers'), join(dataDir, 'handlers-aside'));
  await handle(dataDir, 1);
});

test('the handlers of another log, which is longer than they have come', async () => {
  const [ours, theirs] = [scratchFolder(), scratchFolder()];
  await handle(theirs, 5);
  await handle(ours, 50);
  rmSync(join(ours, 'handlers'), { recursive: true });
  cpSync(join(theirs, 'handlers'), join(ours, 'handlers'), { recursive: true });
  expect(await asked(ours)).toEqual(['StoreDamaged', 'StoreDamaged', 'StoreDamaged']);
});

test('a range that is done above the mark counts as well; what nobody has claimed yet is taken over', async () => {
  const folder = join(scratchFolder(), 'handlers');
  const tables = await LmdbTables.open(folder);
  const json = JSON.stringify({ low: 3, done: [5, 9], updatedAt: '' });
  await tables.commit([{ table: checkpointTable, key: 'a', json }]);
  await tables.close();
  const open = (logId: string, lastPosition: number): Promise<LmdbTables> =>
    LmdbTables.open(folder, { logId, lastPosition });
  expect(await errorOf(open('one', 8))).toMatchObject({ code: 'LogDamaged' });
  await (await open('one', 9)).close();
  expect(await errorOf(open('two', 9))).toMatchObject({ code: 'StoreDamaged' });
});

test('a checkpoint that is not whole keeps nothing but its own handler from starting', async () => {
  const folder = join(scratchFolder(), 'handlers');
  const tables = await LmdbTables.open(folder);
  const json = JSON.stringify({ low: 9, done: [], updatedAt: '' });
  await tables.commit([
    { table: checkpointTable, key: 'broken', json: '{"low":"9"}' },
    { table: checkpointTable, key: 'whole', json },
  ]);
  await tables.close();
  const open = (lastPosition: number): Promise<LmdbTables> => LmdbTables.open(folder, { logId: 'one', lastPosition });
  await (await open(9)).close();
  expect(await errorOf(open(8))).toMatchObject({ code: 'LogDamaged' });
});
