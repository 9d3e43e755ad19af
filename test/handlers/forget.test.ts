// Handlers that are gone for good: what is kept of them goes, and nothing else; nothing goes while somebody needs it.
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LmdbTables } from '../../src/adapters/lmdb/handlers/tables.ts';
import { PostgresTraces } from '../../src/adapters/postgres/handlers/traces.ts';
import { StateTables } from '../../src/handler-state/handler-state.ts';
import { defineProjection, type Projection, type Runtime } from '../../src/index.ts';
import { forget } from '../../src/runtime/forget-handler.ts';
import { administer } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, until } from '../runtime/scratch.ts';
import { databaseUrl, schemaOf, startBeside, startOn, stores } from './stores.ts';

const sums = (on: Runtime): Projection<{ sum: number }> =>
  on.project(
    defineProjection({
      name: 'sums',
      aggregates: [Counter],
      events: ['Added'],
      init: () => ({ sum: 0 }),
      apply: (row, { data }) => ({ sum: row.sum + data.amount }),
    }),
  );

describe.each(stores)('%s', (kind) => {
  const startRuntime = startOn(kind);

  test('refused while it runs, has dead letters, or is not known; then it is gone, and begins anew', async () => {
    const dataDir = scratchFolder();
    const runtime = await startRuntime({ dataDir });
    let isBad = true;
    const heard: number[] = [];
    const subscribe = (on: Runtime) =>
      on.subscribe({
        name: 'labels',
        retry: { attempts: 1 },
        handle({ position }) {
          if (isBad) throw new Error('bad');
          heard.push(position);
        },
      });
    const running = subscribe(runtime);
    const { position } = await runtime.ref(Counter, 'a').add(2);
    await running.caughtUpTo(position);
    const other = runtime.subscribe({ name: 'other', handle: () => {} });
    await other.close();
    expect(await errorOf(runtime.subscriptions.forget('labels'))).toMatchObject({
      code: 'HandlerNeeded',
      message: expect.stringContaining('it is running; close it'),
    });
    await running.close();
    expect(await errorOf(runtime.subscriptions.forget('labels'))).toMatchObject({
      code: 'HandlerNeeded',
      message: expect.stringMatching(/has 1 dead letter; .*dead-letters list --handler labels/),
    });
    for (const name of ['label', 'Labels', 'projection:labels', 'projection:labels#1']) {
      expect(await errorOf(runtime.subscriptions.forget(name))).toMatchObject({
        code: 'UnknownSubscription',
        details: { known: ['labels', 'other'] },
      });
    }
    await runtime.deadLetters.discard({ handler: 'labels' });
    const gone = { name: 'labels', kind: 'subscription', checkpoints: ['labels'], rows: 0 };
    expect(await runtime.subscriptions.forget('labels', { dryRun: true })).toMatchObject({
      ...gone,
      outcome: 'would be forgotten',
    });
    expect(await runtime.subscriptions.forget('labels')).toMatchObject({ ...gone, outcome: 'forgotten', position });
    expect(await errorOf(runtime.subscriptions.forget('labels'))).toMatchObject({ details: { known: ['other'] } });
    isBad = false;
    await subscribe(runtime).caughtUpTo(position);
    expect(heard).toEqual([position]);
    for (const bad of [undefined, null, '', 7, {}, 'x'.repeat(300)]) {
      expect(await errorOf(runtime.subscriptions.forget(bad as string))).toMatchObject({ code: 'InvalidOptions' });
    }
  });

  test('a projection, with its rows; one of that name begins anew', async () => {
    const dataDir = scratchFolder();
    const runtime = await startRuntime({ dataDir });
    const projection = sums(runtime);
    const { position } = await runtime.ref(Counter, 'a').add(2);
    await projection.caughtUpTo(position);
    expect(await errorOf(runtime.subscriptions.forget('projection:sums#1'))).toMatchObject({ code: 'HandlerNeeded' });
    await projection.close();
    const forgetting = runtime.subscriptions.forget('projection:sums#1');
    expect(await forgetting).toMatchObject({
      kind: 'projection',
      rows: 1,
      checkpoints: ['projection:sums#1'],
      position,
    });
    expect((await errorOf(runtime.subscriptions.forget('projection:sums'))).code).toBe('UnknownSubscription');
    const anew = sums(runtime);
    await anew.caughtUpTo(await runtime.ref(Counter, 'a').add(3));
    expect(await anew.entries()).toEqual([{ key: 'a', row: { sum: 5 } }]);
  });
});

test.each([1, 2, 3])(
  'a crash at step %i of it leaves no rows behind for a projection that comes back',
  async (step) => {
    const startRuntime = startOn('embedded');
    const dataDir = scratchFolder();
    const runtime = await startRuntime({ dataDir });
    await sums(runtime).caughtUpTo(await runtime.ref(Counter, 'a').add(2));
    await runtime.close();
    const handlerState = new StateTables(() => LmdbTables.open(join(dataDir, 'handlers')), {
      checkpointDelayMs: 0,
      stagedChangesLimit: 1000,
      onError: () => {},
    });
    await handlerState.open();
    let steps = 0;
    const broken = new Proxy(handlerState, {
      get(of, name) {
        if (name === 'durable' && ++steps === step) return () => Promise.reject(new Error('the process has ended'));
        const found = Reflect.get(of, name) as unknown;
        return typeof found === 'function' ? found.bind(of) : found;
      },
    });
    const parts = {
      places: [broken],
      remote: undefined,
      beginnings: undefined,
      isRunning: () => false,
      hold: () => {},
    };
    expect((await errorOf(forget(parts, 'projection:sums', false))).message).toMatch(/has ended/);
    await handlerState.close();
    const again = await startRuntime({ dataDir });
    const anew = sums(again);
    await anew.caughtUpTo(await again.ref(Counter, 'a').add(3));
    expect(await anew.entries()).toEqual([{ key: 'a', row: { sum: 5 } }]);
  },
);

test('what the database was told of a reader goes with it, and tables in which rows were being built; others stay', async () => {
  const dataDir = scratchFolder();
  const url = await databaseUrl();
  const schema = schemaOf(dataDir);
  await administer(url, 'create schema gone; create table gone.sums (key text primary key, sum int)');
  const runtime = await startBeside({ dataDir });
  const into = { table: 'gone.sums' };
  const { position } = await runtime.ref(Counter, 'a').add(2);
  const stopped = runtime.project({
    name: 'stopped',
    into,
    init: () => ({ sum: 0 }),
    apply() {
      throw new Error('not yet');
    },
  });
  const local = sums(runtime);
  await local.caughtUpTo(position);
  await until(
    () => stopped.get('a').then(() => stopped.status().state),
    (state) => state === 'stopped',
  );
  const readers = (): Promise<unknown[]> => administer(url, `select name from ${schema}.log_readers`);
  await until(readers, (rows) => rows.length === 1);
  await Promise.all([local.close(), stopped.close()]);
  const tables = `select tablename as name from pg_tables where schemaname = 'gone' order by name`;
  const [, built] = await administer(url, tables);
  // One that looks like it, and lacks the mark.
  await administer(url, 'create table gone.trunkline_rows_0 (key text)');
  expect(await runtime.subscriptions.forget('projection:stopped')).toMatchObject({ dropped: [`gone.${built.name}`] });
  expect(await administer(url, tables)).toEqual([{ name: 'sums' }, { name: 'trunkline_rows_0' }]);
  await runtime.subscriptions.forget('projection:sums');
  await until(readers, (rows) => rows.length === 0);
  // A reader of which the database alone knows, as of a handlers folder that has been moved aside.
  const [{ log_id: logId }] = await administer(url, `select log_id from ${schema}.flush_checkpoints`);
  await administer(url, `insert into ${schema}.log_readers values ($1, 'projection:old#3', 1), ($1, 'lost', 2)`, [
    logId,
  ]);
  expect(await runtime.subscriptions.forget('lost')).toMatchObject({ kind: 'reader', position: 2 });
  expect(await runtime.subscriptions.forget('projection:old#3')).toMatchObject({ kind: 'projection', position: 1 });
  expect(await readers()).toEqual([]);
  const { settings } = (runtime as any).stages.handlers.parts.store;
  expect(await new PostgresTraces(settings, logId).silentMs()).toBeGreaterThanOrEqual(0);
  expect(await new PostgresTraces(settings, 'nobody').silentMs()).toBeUndefined();
});
