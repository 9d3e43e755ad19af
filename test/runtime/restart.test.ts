import { readdirSync, readFileSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createRuntime } from '../../src/index.ts';
import { Counter } from './aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from './scratch.ts';

test('state, versions and positions go on after a restart', async () => {
  const dataDir = scratchFolder();
  const before = await startRuntime({ dataDir });
  for (let i = 0; i < 25; i++) await before.ref(Counter, 'a').add(1);
  const last = await before.ref(Counter, 'b').label('x');
  await before.close();
  const after = await startRuntime({ dataDir });
  expect(after.recovery).toMatchObject({ lastEnd: 'clean', leftOut: [] });
  const next = await after.ref(Counter, 'a').add(1);
  expect(next).toMatchObject({ value: 26, version: 26 });
  expect(next.position).toBeGreaterThan(last.position);
  expect((await after.ref(Counter, 'b').whole()).value).toEqual({ state: { total: 0, labels: ['x'] }, version: 1 });
});

test('a damaged log is reported and put aside; the store goes on behind the loss, run after run', async () => {
  const dataDir = scratchFolder();
  const before = await startRuntime({ dataDir });
  for (let i = 0; i < 20; i++) await before.ref(Counter, 'a').add(1);
  await before.close();
  truncateSync(join(dataDir, 'log', 'log.mdb'), 0);
  for (let run = 1; run <= 3; run++) {
    const runtime = await startRuntime({ dataDir });
    expect(runtime.recovery.leftOut.length > 0).toBe(run === 1);
    if (run > 1)
      expect(await runtime.ref(Counter, 'a').with({ ack: 'stored' }).add(1)).toMatchObject({ version: 19 + run });
    const versions: number[] = [];
    for await (const event of runtime.events()) versions.push(event.version);
    expect(versions).toEqual(Array.from({ length: 19 + run }, (_, i) => i + 1));
    await runtime.close();
  }
});

test('what a recovery has given up holds nothing back: reads, sinks and handlers go past it, before anything new is written', async () => {
  const dataDir = scratchFolder();
  const file = join(dataDir, 'sink.txt');
  const sinks = [{ name: 'file', module: new URL('./file-sink.ts', import.meta.url).href, options: { file } }];
  const before = await startRuntime({ dataDir, sinks });
  for (let i = 0; i < 20; i++) await before.ref(Counter, 'a').addMany(5);
  await before.close();
  const data = join(dataDir, 'log', 'log.mdb');
  truncateSync(data, 12 * 4096);
  const handled: number[] = [];
  for (let run = 1; run <= 3; run++) {
    const runtime = await startRuntime({ dataDir, sinks });
    const subscription = runtime.subscribe({ name: 'all', handle: ({ version }) => void handled.push(version) });
    const { written } = runtime.status();
    expect(runtime.recovery.leftOut.length > 0).toBe(run === 1);
    expect(await runtime.store.getByAggregate(Counter, 'a')).toHaveLength(100);
    await runtime.reached('stored');
    await subscription.caughtUpTo(written);
    expect(runtime.status().stored).toBe(written);
    await runtime.close();
  }
  const last = await startRuntime({ dataDir, sinks });
  const { position } = await last.ref(Counter, 'a').with({ ack: 'stored' }).add(1);
  await until(
    () => readFileSync(file, 'utf8'),
    (text) => text.endsWith(`${position} a 101\ncheckpoint ${position}\n`),
  );
  expect(handled).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
});

test('a store that somebody has removed is made again from the log, or refused where the log does not reach back', async () => {
  const dataDir = scratchFolder();
  const options = { dataDir, log: { retainBytes: 0 }, flush: { ringBytes: 1 << 16, batchBytes: 1 << 16 } };
  const remove = (name: string): void => rmSync(join(dataDir, 'store', name), { force: true });
  const removeStore = (): void => readdirSync(join(dataDir, 'store')).forEach(remove);
  const first = await startRuntime(options);
  await first.ref(Counter, 'a').addMany(5);
  await first.close();
  removeStore();
  const again = await startRuntime({ ...options, log: {} });
  expect(await again.store.getByAggregate(Counter, 'a')).toHaveLength(5);
  await again.close();
  // Now the log is lost: what it goes on with is far behind what only the store has.
  truncateSync(join(dataDir, 'log', 'log.mdb'), 0);
  removeStore();
  for (let run = 0; run < 2; run++) {
    const error = await errorOf(createRuntime({ logger: false, ...options, aggregates: [Counter] }));
    expect(error).toMatchObject({
      code: 'StoreDamaged',
      details: { reason: expect.stringContaining('the log begins at') },
    });
  }
});

test('a log that somebody has moved aside is an error, with and without the store: no second log begins in the directory', async () => {
  const dataDir = scratchFolder();
  const first = await startRuntime({ dataDir });
  await first.ref(Counter, 'a').addMany(5);
  await first.close();
  for (const folder of ['log', 'store']) {
    renameSync(join(dataDir, folder), join(dataDir, `${folder}-aside`));
    const error = await errorOf(createRuntime({ dataDir, aggregates: [Counter] }));
    expect(error).toMatchObject({ code: 'LogDamaged', details: { reason: expect.stringContaining('has begun here') } });
  }
  for (const folder of ['log', 'store']) {
    rmSync(join(dataDir, folder), { recursive: true });
    renameSync(join(dataDir, `${folder}-aside`), join(dataDir, folder));
  }
  const again = await startRuntime({ dataDir });
  expect((await again.ref(Counter, 'a').add(1)).version).toBe(6);
  await again.close();
});

test('a log that was lost before the store had anything is no reason to refuse the store', async () => {
  const dataDir = scratchFolder();
  await (await startRuntime({ dataDir })).close();
  truncateSync(join(dataDir, 'log', 'log.mdb'), 0);
  for (let run = 1; run <= 2; run++) {
    const runtime = await startRuntime({ dataDir });
    expect((await runtime.ref(Counter, 'a').with({ ack: 'stored' }).add(1)).version).toBe(run);
    await runtime.close();
  }
});

test('another number of shards finds every aggregate again', async () => {
  const dataDir = scratchFolder();
  const ids = Array.from({ length: 30 }, (_, i) => `c${i}`);
  const before = await startRuntime({ dataDir, shards: 1 });
  await Promise.all(ids.map((id) => before.ref(Counter, id).addMany(3)));
  await before.close();
  const after = await startRuntime({ dataDir, shards: 3 });
  const values = await Promise.all(ids.map(async (id) => (await after.ref(Counter, id).add(1)).value));
  expect(values).toEqual(ids.map(() => 4));
});

test('an actor that was passivated comes back as it was', async () => {
  const runtime = await startRuntime({ shards: 1, actorLimit: 2, flush: 'durable' });
  for (let i = 0; i < 6; i++) await runtime.ref(Counter, `c${i}`).with({ ack: 'stored' }).addMany(12);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 6; i++)
      expect(await runtime.ref(Counter, `c${i}`).total()).toMatchObject({ value: 12, version: 12 });
    // All but two leave again, and come back from their snapshots.
    await until(
      () => runtime.status().actors,
      (actors) => actors <= 2,
    );
  }
});

test('an actor stays until the store has what it raised, however many there are', async () => {
  const runtime = await startRuntime({ shards: 1, actorLimit: 1, flush: { syncIntervalMs: 60_000 } });
  for (let i = 0; i < 6; i++) await runtime.ref(Counter, `c${i}`).addMany(3);
  // Counted by a sweep, which would have let them go.
  await until(
    () => runtime.status().actors,
    (actors) => actors === 6,
  );
  for (let i = 0; i < 6; i++)
    expect(await runtime.ref(Counter, `c${i}`).add(1)).toMatchObject({ value: 4, version: 4 });
  expect(runtime.status().stored).toBe(0);
});

test('the log is truncated behind the store, and events() has no seam', async () => {
  const runtime = await startRuntime({
    shards: 1,
    flush: { syncIntervalMs: 0, ringBytes: 1 << 20 },
    log: { maxBytes: 8 << 20, retainBytes: 0 },
  });
  const label = 'x'.repeat(4000);
  for (let i = 0; i < 60; i++) {
    await Promise.all(Array.from({ length: 100 }, (_, j) => runtime.ref(Counter, `c${j}`).label(label)));
  }
  // 24 MB have gone through a log of 8 MB.
  const versions = new Map<string, number>();
  let count = 0;
  let position = 0;
  for await (const event of runtime.events({ aggregate: Counter })) {
    expect(event.position).toBeGreaterThan(position);
    position = event.position;
    expect(event.version).toBe((versions.get(event.aggregateId) ?? 0) + 1);
    versions.set(event.aggregateId, event.version);
    count++;
  }
  expect(count).toBe(6000);
});

test('a full log pushes back, and takes again when there is room', async () => {
  const runtime = await startRuntime({
    shards: 1,
    flush: { syncIntervalMs: 60_000, syncBytes: 1 << 30, whenFull: 'reject', ringBytes: 1 << 16, batchBytes: 1 << 16 },
    log: { maxBytes: 1 << 20, retainBytes: 0 },
  });
  const label = 'x'.repeat(8000);
  let refused = 0;
  for (let i = 0; i < 400 && refused === 0; i++) {
    const results = await Promise.race([
      Promise.allSettled(Array.from({ length: 4 }, () => runtime.ref(Counter, 'a').label(label))),
      until(
        () =>
          runtime
            .ref(Counter, 'b')
            .with({ deadlineMs: 1 })
            .total()
            .catch((error) => error.code),
        (code) => code === 'LogFull',
      ).then(() => undefined),
    ]);
    if (results === undefined) refused++;
    else refused += results.filter((result) => result.status === 'rejected' && result.reason.code === 'LogFull').length;
  }
  expect(refused).toBeGreaterThan(0);
  runtime.setFlush({ syncIntervalMs: 0, whenFull: 'wait' });
  await runtime.reached('stored');
  const receipt = await until(
    () =>
      runtime
        .ref(Counter, 'a')
        .label('short')
        .catch(() => undefined),
    (value) => value !== undefined,
  );
  const events = await runtime.store.getByAggregate(Counter, 'a');
  expect(events.map(({ version }) => version)).toEqual(Array.from({ length: receipt!.version }, (_, i) => i + 1));
});
