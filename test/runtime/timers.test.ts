// Durable timers: due once, never early, over restarts; replaced and cancelled by name.
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Runtime, RuntimeOptions } from '../../src/index.ts';
import { Alarm } from './alarm.ts';
import { errorOf, scratchFolder, startRuntime, until } from './scratch.ts';

const start = (options: Partial<RuntimeOptions> = {}): Promise<Runtime> =>
  startRuntime({ aggregates: [Alarm], shards: 1, logger: false, ...options });

const rung = async (runtime: Runtime, id = 'a'): Promise<readonly string[]> =>
  (await runtime.ref(Alarm, id).rung()).value.rung;
const whenRung = (runtime: Runtime, count: number, id = 'a'): Promise<readonly string[]> =>
  until(
    () => rung(runtime, id),
    ({ length }) => length >= count,
  );

test('timers come due in their order, none early, each once', async () => {
  const runtime = await start();
  const before = Date.now();
  await runtime.ref(Alarm, 'a').set({ late: 120, early: 20, middle: 60, now: 0 });
  await whenRung(runtime, 4);
  const { rung: order, dates } = (await runtime.ref(Alarm, 'a').rung()).value;
  expect(order).toEqual(['now', 'early', 'middle', 'late']);
  for (const [i, delayMs] of [0, 20, 60, 120].entries()) expect(dates[i]! - before).toBeGreaterThanOrEqual(delayMs);
});

test('a name has one timer: the one that was set last; a cancelled one is not executed', async () => {
  const runtime = await start();
  const alarm = runtime.ref(Alarm, 'a');
  // Sent together: one is executed right behind the other.
  await Promise.all([
    alarm.setNamed('x', 300, 'first'),
    alarm.setNamed('x', 350, 'second'),
    alarm.setNamed('y', 300, 'cancelled'),
    alarm.stop('y'),
    alarm.stop('unknown'),
    runtime.ref(Alarm, 'b').setNamed('x', 300, 'of another'),
    alarm.set({ end: 400 }),
  ]);
  expect(await whenRung(runtime, 2)).toEqual(['second', 'end']);
  expect(await whenRung(runtime, 1, 'b')).toEqual(['of another']);
});

test('one that comes due behind the command that cancels it is not executed', async () => {
  const runtime = await start();
  const alarm = runtime.ref(Alarm, 'a');
  for (let round = 0; round < 5; round++) {
    // Sent together: the second one runs when the timer comes due.
    await Promise.all([alarm.setNamed('x', 20, 'cancelled'), alarm.stopLate('x', 60)]);
  }
  await Promise.all([alarm.setNamed('x', 20, 'replaced'), alarm.stopLate('y', 60), alarm.setNamed('x', 30, 'last')]);
  expect(await whenRung(runtime, 1)).toEqual(['last']);
});

test('a command that is refused sets and cancels nothing', async () => {
  const runtime = await start();
  const alarm = runtime.ref(Alarm, 'a');
  await Promise.all([alarm.setNamed('kept', 300, 'kept'), errorOf(alarm.failAfter(10)), alarm.set({ end: 350 })]);
  expect(await whenRung(runtime, 2)).toEqual(['kept', 'end']);
});

test('timers outlive a restart, near and far ones, kept in the tables or only in the log', async () => {
  const dataDir = scratchFolder();
  let runtime = await start({ dataDir });
  const alarm = runtime.ref(Alarm, 'a');
  await alarm.setNamed('far', 2 ** 33, 'far');
  await alarm.setNamed('replaced', 2 ** 33, 'replaced');
  await alarm.setNamed('soon', 1_500, 'soon');
  await alarm.set({ unnamed: 1_400 });
  await runtime.close();
  runtime = await start({ dataDir });
  expect(await whenRung(runtime, 2)).toEqual(['unnamed', 'soon']);
  await runtime.ref(Alarm, 'a').setNamed('replaced', 0, 'replacement');
  await runtime.close();
  runtime = await start({ dataDir });
  expect(await whenRung(runtime, 3)).toEqual(['unnamed', 'soon', 'replacement']);
  await runtime.ref(Alarm, 'a').stop('far');
  await runtime.close();
  runtime = await start({ dataDir });
  await runtime.ref(Alarm, 'a').set({ end: 20 });
  expect(await whenRung(runtime, 4)).toEqual(['unnamed', 'soon', 'replacement', 'end']);
});

test('one whose command fails is tried again; then it is a dead letter, which can be requeued', async () => {
  const dataDir = scratchFolder();
  const file = `${dataDir}-fails`;
  writeFileSync(file, '');
  const retry = { attempts: 2, minDelayMs: 1 };
  let runtime = await start({ dataDir, messages: { retry } });
  const alarm = runtime.ref(Alarm, 'a');
  await alarm.setNamed('x', 5, file, 'ringUnless');
  await alarm.setNamed('no', 5, file, 'refuse');
  await until(
    () => runtime.status(),
    ({ messageDeadLetters, messagesRefused }) => messageDeadLetters === 1 && messagesRefused === 1,
  );
  await alarm.set({ other: 5 });
  await whenRung(runtime, 1);
  await runtime.close();
  runtime = await start({ dataDir, messages: { retry } });
  const [letter] = await runtime.deadLetters.messages.list();
  expect(letter).toMatchObject({ target: { aggregateType: 'alarm', aggregateId: 'a' }, command: 'ringUnless' });
  rmSync(file);
  await runtime.deadLetters.messages.requeue(letter!.id);
  expect(await whenRung(runtime, 2)).toEqual(['other', 'unless']);
  await until(
    () => runtime.status().messageDeadLetters,
    (count) => count === 0,
  );
});

test('those that wait are listed by date, taken back and moved; also over a restart', async () => {
  const dataDir = scratchFolder();
  let runtime = await start({ dataDir });
  const alarm = runtime.ref(Alarm, 'a');
  const farMs = 3_600_000;
  const before = Date.now();
  await Promise.all(
    ['x', 'y', 'z', 'w'].map((name, i) => alarm.with({ metadata: { i } }).setNamed(name, farMs * (i + 1), name)),
  );
  await runtime.ref(Alarm, 'b').set({ unnamed: farMs });
  const all = await runtime.timers.list();
  expect(all.map(({ aggregateId, name }) => [aggregateId, name])).toEqual([
    ['a', 'x'],
    ['b', undefined],
    ['a', 'y'],
    ['a', 'z'],
    ['a', 'w'],
  ]);
  expect(all[0]).toMatchObject({ aggregateType: 'alarm', command: 'ring', input: ['x'], metadata: { i: 0 } });
  expect(all[0]!.due.getTime() - before).toBeGreaterThanOrEqual(farMs);
  const names = (timers: readonly { name: string | undefined }[]): unknown[] => timers.map(({ name }) => name);
  expect(names(await runtime.timers.list({ aggregate: Alarm, aggregateId: 'a', limit: 2 }))).toEqual(['x', 'y']);
  expect(names(await runtime.timers.cancel({ name: 'x' }))).toEqual(['x']);
  expect(await runtime.timers.cancel({ name: 'x' })).toEqual([]);
  expect(names(await runtime.timers.move({ name: 'y' }, new Date()))).toEqual(['y']);
  await runtime.timers.move({ name: 'z' }, new Date(before + 10 * farMs));
  expect(await whenRung(runtime, 1)).toEqual(['y']);
  await errorOf(runtime.timers.cancel({}));
  await runtime.close();
  runtime = await start({ dataDir });
  const left = await runtime.timers.list({ aggregateId: 'a' });
  expect(names(left)).toEqual(['w', 'z']);
  expect(left[1]!.due.getTime()).toBe(before + 10 * farMs);
  await runtime.ref(Alarm, 'a').stop('z');
  expect(names(await runtime.timers.list({ aggregateId: 'a' }))).toEqual(['w']);
  expect(await rung(runtime)).toEqual(['y']);
});

test('one that was replaced stays so when its successor has become a dead letter, also over a restart', async () => {
  const dataDir = scratchFolder();
  const file = `${dataDir}-fails`;
  writeFileSync(file, '');
  const options = { dataDir, messages: { retry: { attempts: 1 } } };
  let runtime = await start(options);
  await runtime.ref(Alarm, 'a').setNamed('x', 3_600_000, 'replaced');
  expect(await runtime.timers.list()).toHaveLength(1); // the tables have it
  await runtime.ref(Alarm, 'a').setNamed('x', 0, file, 'ringUnless');
  await until(
    () => runtime.status().messageDeadLetters,
    (count) => count === 1,
  );
  await runtime.close();
  runtime = await start(options);
  expect(await runtime.timers.list()).toEqual([]);
});

test('a start without timers and schedules opens nothing for them', async () => {
  const dataDir = scratchFolder();
  const runtime = await start({ dataDir });
  await runtime.ref(Alarm, 'a').with({ ack: 'stored' }).ring('by hand');
  await runtime.close();
  expect(existsSync(join(dataDir, 'handlers', 'handlers.mdb'))).toBe(false);
});
