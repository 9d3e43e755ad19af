import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { createRuntime } from '../../src/index.ts';
import { Counter } from './aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from './scratch.ts';

test('a shard that dies is started again; nothing acknowledged is lost, the other shards go on', async () => {
  const runtime = await startRuntime({ shards: 2, flush: { syncIntervalMs: 1000 } });
  const ids = Array.from({ length: 20 }, (_, i) => `c${i}`);
  await Promise.all(ids.map((id) => runtime.ref(Counter, id).addMany(3)));
  const [crashed, behind] = [errorOf(runtime.ref(Counter, 'c0').crash()), errorOf(runtime.ref(Counter, 'c0').add(1))];
  expect((await crashed).code).toBe('OutcomeUnknown');
  expect((await behind).code).toBe('NotExecuted');
  const values = await Promise.all(ids.map(async (id) => (await runtime.ref(Counter, id).add(1)).value));
  expect(values).toEqual(ids.map(() => 4));
  expect(runtime.status().shardRestarts).toBe(1);
  expect(await runtime.store.getByAggregate(Counter, 'c0')).toHaveLength(4);
});

test('a shard may die again and again', async () => {
  const runtime = await startRuntime({ shards: 1 });
  for (let i = 1; i <= 3; i++) {
    expect((await errorOf(runtime.ref(Counter, 'a').crash())).code).toBe('OutcomeUnknown');
    const receipt = await until(
      () =>
        runtime
          .ref(Counter, 'a')
          .add(1)
          .catch(() => undefined),
      (value) => value !== undefined,
    );
    expect(receipt).toMatchObject({ value: i, version: i });
  }
  expect(runtime.status().shardRestarts).toBe(3);
});

test('a shard that dies while the others still start is started again', async () => {
  const context = new URL('./dies-early.ts', import.meta.url);
  context.searchParams.set('notes', pathToFileURL(`${scratchFolder()}-notes`).href);
  const runtime = await startRuntime({ shards: 3, context: context.href });
  const ids = Array.from({ length: 12 }, (_, i) => `e${i}`);
  const values = await Promise.all(
    ids.map(async (id) => (await runtime.ref(Counter, id).with({ deadlineMs: 20_000 }).add(1)).value),
  );
  expect(values).toEqual(ids.map(() => 1));
  expect(runtime.status()).toMatchObject({ state: 'open', shardRestarts: 1 });
});

test('a module that does not export its aggregate is ModuleMismatch', async () => {
  const stray = { ...Counter, name: 'stray' };
  const error = await errorOf(createRuntime({ logger: false, dataDir: scratchFolder(), aggregates: [stray] }));
  expect(error).toMatchObject({ code: 'ModuleMismatch', details: { aggregateType: 'stray' } });
});

test.each(['nested.ts', 'nested-exit.ts'])(
  'a module that starts a runtime of its own inside a shard is refused, whatever it does then: %s',
  async (file) => {
    const module = new URL(`./${file}`, import.meta.url).href;
    const nested = { ...Counter, name: 'nested', module };
    const error = await errorOf(createRuntime({ logger: false, dataDir: scratchFolder(), aggregates: [nested] }));
    expect(error).toMatchObject({ code: 'RuntimeInsideShard', details: { module } });
  },
);

test('a runtime that a module starts which the aggregate imports: that module is named', async () => {
  const module = new URL('./nested-import.ts', import.meta.url).href;
  const nested = { ...Counter, name: 'nested', module };
  const error = await errorOf(
    createRuntime({ logger: false, dataDir: scratchFolder(), aggregates: [Counter, nested] }),
  );
  const called = new URL('./nested-start.ts', import.meta.url).href;
  expect(error).toMatchObject({ code: 'RuntimeInsideShard', details: { module: called } });
});

test('a module that cannot be imported is ThreadFailed, with the cause', async () => {
  const missing = { ...Counter, module: new URL('./missing.ts', import.meta.url).href };
  const error = await errorOf(createRuntime({ logger: false, dataDir: scratchFolder(), aggregates: [missing] }));
  expect(error.code).toBe('ThreadFailed');
  expect(error.message).toContain('missing.ts');
});
