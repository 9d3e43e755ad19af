// Rings that are full: what waits in front of them, what is told of it, and who goes on meanwhile.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Runtime } from '../../src/index.ts';
import { RingMemory, Word } from '../../src/shared/ring/ring.ts';
import { Held } from './held.ts';
import { errorOf, scratchFolder, startRuntime, until } from './scratch.ts';

const ringBytes = 1 << 16;
const pad = 'x'.repeat(1000);

interface Scene {
  runtime: Runtime;
  /** A name for a file that is not there yet. */
  file(name: string): string;
}

async function start(whenFull: 'wait' | 'reject' = 'wait', warnings: unknown[] = []): Promise<Scene> {
  const dataDir = scratchFolder();
  const logger = { warn: (...told: unknown[]) => warnings.push(told), error() {}, info() {}, debug() {} };
  const flush = { ringBytes, whenFull };
  const runtime = await startRuntime({ dataDir, aggregates: [Held], shards: 1, flush, logger: logger as never });
  return { runtime, file: (name) => join(dataDir, '..', name) };
}

const linesOf = (file: string): string[] => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []);

const nap = new Int32Array(new SharedArrayBuffer(4));

interface Insides {
  stages: { dispatch: { inFlight: { channels: { seal(): void; eventRing: SharedArrayBuffer }[] } } };
}

const lineOf = (runtime: Runtime) => (runtime as unknown as Insides).stages.dispatch.inFlight.channels[0]!;

/** Keep this thread, and with it the reading of the shard's ring, until the shard waits for room in it. */
function blockUntilFull(runtime: Runtime): void {
  const { words } = new RingMemory(lineOf(runtime).eventRing);
  const end = performance.now() + 30_000;
  while (Atomics.load(words, Word.room) === 0 && performance.now() < end) Atomics.wait(nap, 0, 0, 5);
}

test('a command that is given up while it waits for room was not executed, and never will be', async () => {
  const { runtime, file } = await start();
  const [release, marks] = [file('release'), file('marks')];
  const held = runtime.ref(Held, 'holds').hold(release, marks);
  await until(
    () => linesOf(marks),
    (lines) => lines.length === 1,
  );
  const fillers = Array.from({ length: 200 }, (_, i) => runtime.ref(Held, `f${i}`).add(pad));
  const controllers = ['written', 'raised'].map(() => new AbortController());
  const victims = [
    runtime.ref(Held, 'v0').with({ signal: controllers[0]!.signal }).mark(marks, 'aborted'),
    runtime.ref(Held, 'v1').with({ signal: controllers[1]!.signal, ack: 'raised' }).mark(marks, 'aborted'),
    runtime.ref(Held, 'v2').with({ deadlineMs: 20 }).mark(marks, 'late'),
    runtime.ref(Held, 'v3').with({ deadlineMs: 20, ack: 'raised' }).mark(marks, 'late'),
  ].map(errorOf);
  const behind = runtime.ref(Held, 'last').mark(marks, 'behind');
  for (const controller of controllers) controller.abort();
  const errors = await Promise.all(victims);
  expect(errors.map(({ code, details }) => [code, details.executed])).toEqual([
    ['Aborted', 'no'],
    ['Aborted', 'no'],
    ['DeadlineExceeded', 'no'],
    ['DeadlineExceeded', 'no'],
  ]);
  expect(runtime.status().inFlight).toBe(202);
  writeFileSync(release, '');
  await Promise.all([held, ...fillers, behind]);
  // Behind them in order: had they been written, they would have run by now.
  expect(linesOf(marks)).toEqual(['holding', 'behind']);
  for (const id of ['v0', 'v1', 'v2', 'v3']) expect((await runtime.ref(Held, id).total()).version).toBe(0);
});

test('what waits for room gets in when there is room, whoever is still waiting for a reply', async () => {
  const { runtime, file } = await start();
  const release = file('release');
  const slow = runtime.ref(Held, 'slow').wait(release);
  // They all get into the mailbox of the slow one, by way of the overflow; the shard itself is idle.
  const behindIt = Array.from({ length: 200 }, () => runtime.ref(Held, 'slow').add(pad));
  expect(await runtime.ref(Held, 'other').add(pad)).toMatchObject({ value: 1 });
  expect(existsSync(release)).toBe(false);
  writeFileSync(release, '');
  await slow;
  expect((await Promise.all(behindIt)).at(-1)).toMatchObject({ value: 201 });
});

test.each(['reject', 'wait'] as const)(
  'an event ring that is full for a moment costs no shard its life: %s, from then on',
  async (whenFull) => {
    const { runtime, file } = await start(whenFull === 'reject' ? 'wait' : 'reject');
    expect(runtime.setFlush({ whenFull }).whenFull).toBe(whenFull);
    const [release, later] = [file('release'), file('later')];
    const bystander = runtime.ref(Held, 'bystander').wait(later);
    const outcomes = Array.from({ length: 20 }, (_, i) =>
      runtime
        .ref(Held, `a${i}`)
        .wait(release, 8000)
        .then(
          () => 'done',
          (error) => error.code as string,
        ),
    );
    await runtime.ref(Held, 'last').total(); // by then they all have begun
    writeFileSync(release, '');
    // Nobody reads the ring meanwhile: the ninth finds no room. Either it waits, or the answer that it is owed.
    blockUntilFull(runtime);
    const codes = await Promise.all(outcomes);
    writeFileSync(later, '');
    await bystander;
    expect(runtime.status().shardRestarts).toBe(0);
    if (whenFull === 'wait') expect(codes).toEqual(codes.map(() => 'done'));
    else expect([...new Set(codes)].sort()).toEqual(['RingFull', 'done']);
    for (const [i, code] of codes.entries()) {
      expect((await runtime.ref(Held, `a${i}`).total()).value).toBe(code === 'done' ? 1 : 0);
    }
  },
);

test('a shard that is given up while it lives can neither take a command nor say anything any more', async () => {
  const { runtime, file } = await start();
  const [release, later, marks] = [file('release'), file('later'), file('marks')];
  await runtime.ref(Held, 'a').add();
  const waits = errorOf(runtime.ref(Held, 'a').wait(later, 0, marks));
  const holds = errorOf(runtime.ref(Held, 'b').hold(release, marks));
  await until(
    () => linesOf(marks),
    (lines) => lines.length === 1,
  );
  const untaken = errorOf(runtime.ref(Held, 'c').mark(marks, 'untaken'));
  lineOf(runtime).seal(); // its thread is in the middle of a command, and has one more before it
  writeFileSync(release, '');
  expect((await waits).code).toBe('OutcomeUnknown');
  expect((await holds).code).toBe('OutcomeUnknown');
  expect((await untaken).code).toBe('NotExecuted');
  writeFileSync(later, '');
  expect(await runtime.ref(Held, 'a').mark(marks, 'next')).toMatchObject({ version: 2 });
  expect((await runtime.ref(Held, 'b').total()).version).toBe(0);
  expect((await runtime.ref(Held, 'c').total()).version).toBe(0);
  expect(linesOf(marks)).toEqual(['holding', 'next']);
  expect(runtime.status().shardRestarts).toBe(1);
});

test('what a command throws outside of itself is reported, and its shard goes on', async () => {
  const warnings: unknown[] = [];
  const { runtime, file } = await start('wait', warnings);
  const marks = file('marks');
  const controller = new AbortController();
  const aborted = errorOf(runtime.ref(Held, 'a').with({ signal: controller.signal }).throwOnAbort(marks));
  await until(
    () => linesOf(marks),
    (lines) => lines.length === 1,
  );
  controller.abort();
  await aborted;
  await runtime.ref(Held, 'b').throwLater();
  await until(
    () => JSON.stringify(warnings),
    (told) => told.includes('an abort listener of a command') && told.includes('a timer of a command'),
  );
  expect(await runtime.ref(Held, 'b').add()).toMatchObject({ value: 1 });
  expect(runtime.status().shardRestarts).toBe(0);
});
