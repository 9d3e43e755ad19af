// What holds once a runtime has been closed, whatever became of its parts: its directory is free, and it writes no more.
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Shards } from '../../src/dispatch/shards.ts';
import { createRuntime, type Runtime } from '../../src/index.ts';
import { Counter } from './aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from './scratch.ts';

/** Every file of a data directory: its size, and when it was written. */
function filesOf(dataDir: string): string[] {
  return readdirSync(dataDir, { recursive: true, encoding: 'utf8' })
    .map((name) => {
      const { size, mtimeMs, mode } = statSync(join(dataDir, name));
      return `${name} ${mode} ${size} ${mtimeMs}`;
    })
    .sort();
}

/** `end` does its work, and fails then. */
function failsToEnd<Of extends object>(of: Of, end: keyof Of & string): void {
  const original = (of[end] as (...given: unknown[]) => unknown).bind(of);
  Object.assign(of, {
    [end]: (...given: unknown[]) => {
      const fail = (): never => {
        throw new Error(`${end} fails`);
      };
      const ended = original(...given);
      return ended instanceof Promise ? ended.then(fail) : fail();
    },
  });
}

test('every stage is ended and the lock is free, whatever stage fails to end', async () => {
  const dataDir = scratchFolder();
  const threads = (): number => readdirSync('/proc/self/task').length;
  await (await startRuntime({ dataDir, shards: 1 })).close();
  const before = threads();
  const runtime = await createRuntime({ logger: false, dataDir, aggregates: [Counter], shards: 1 });
  runtime.subscribe({ name: 'one', events: '*', handle: () => {} });
  await runtime.ref(Counter, 'a').add(1);
  const { stages } = runtime as unknown as { stages: Record<string, any> };
  const ends: [string, string][] = [
    ['deliveries', 'close'],
    ['handlers', 'close'],
    ['inFlight', 'whenDrained'],
    ['handlers', 'closeTables'],
    ['shards', 'close'],
    ['log', 'logEnded'],
    ['inFlight', 'abandon'],
    ['log', 'syncEnded'],
    ['flushThread', 'ended'],
    ['reading', 'close'],
    ['logReader', 'close'],
  ];
  const { inFlight, deliveries } = stages.dispatch;
  for (const [stage, end] of ends) failsToEnd({ ...stages, inFlight, deliveries }[stage], end);
  const error = await errorOf(runtime.close());
  expect(error).toMatchObject({ code: 'InternalFault', message: expect.stringContaining('close fails') });
  expect(error.details.where).toContain(
    'messages, commands in flight, shards, commands in flight, readers of the store',
  );
  expect(runtime.status().state).toBe('closed');
  await runtime.close();
  const after = await startRuntime({ dataDir, shards: 1 });
  expect(after.recovery).toMatchObject({ lastEnd: 'clean' });
  expect((await after.ref(Counter, 'a').add(1)).version).toBe(2);
  await after.close();
  expect(threads()).toBeLessThanOrEqual(before);
});

test('a start that fails gives the directory back, also where what had started does not end in order', async () => {
  const dataDir = scratchFolder();
  const { start, close } = Shards.prototype;
  try {
    Shards.prototype.start = async function (this: Shards) {
      await start.call(this);
      throw new Error('the start fails');
    };
    Shards.prototype.close = async function (this: Shards, ...given) {
      await close.apply(this, given);
      throw new Error('the end fails, too');
    };
    const started = createRuntime({ logger: false, dataDir, aggregates: [Counter], shards: 1 });
    expect((await errorOf(started)).message).toBe('the start fails');
  } finally {
    Object.assign(Shards.prototype, { start, close });
  }
  expect((await startRuntime({ dataDir, shards: 1 })).recovery.lastEnd).toBe('clean');
});

/** Puts a request into the folder as another process does. */
function ask(dataDir: string, id: string, request: object): string {
  const folder = join(dataDir, 'handlers', 'requests');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${id}.new`), JSON.stringify(request));
  renameSync(join(folder, `${id}.new`), join(folder, `${id}.json`));
  return join(folder, `${id}.answer`);
}

const contentOf = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

async function withEvents(runtime: Runtime): Promise<void> {
  for (let i = 0; i < 20; i++) await runtime.ref(Counter, 'a').add(1);
}

test('a request that is being carried out is answered before close resolves; nothing is written behind it', async () => {
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir, shards: 1 });
  await withEvents(runtime);
  let replayed = 0;
  const subscription = runtime.subscribe({
    name: 'slow',
    events: '*',
    handle: (_, { attempt }) => {
      replayed += attempt;
    },
  });
  await subscription.caughtUpTo(runtime.status().written);
  const answer = ask(dataDir, 'abc', { kind: 'replay', handler: 'slow', eventsPerSecond: 1, dryRun: false });
  await until(
    () => replayed,
    (count) => count > 20,
  );
  const ownReplay = errorOf(runtime.replay({ into: () => {}, eventsPerSecond: 1 }));
  await runtime.close();
  const files = filesOf(dataDir);
  expect(contentOf(answer)).toContain('RuntimeClosed');
  expect((await ownReplay).code).toBe('RuntimeClosed');
  expect(filesOf(dataDir)).toEqual(files);
});

test('close that gives up leaves nothing that writes later, whatever goes on then', async () => {
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir, shards: 1 });
  await withEvents(runtime);
  const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
  let begun = 0;
  const hold = (): Promise<void> => {
    begun++;
    return held;
  };
  const ends: Promise<unknown>[] = [];
  const later = (work: Promise<unknown>): void => {
    ends.push(
      work.then(
        () => 'done',
        ({ code }: { code: string }) => code,
      ),
    );
  };
  const subscription = runtime.subscribe({
    name: 'held',
    events: '*',
    handle: async (_, { tx }) => {
      tx.put('table', 'handler', 1);
      await hold();
    },
  });
  const calm = runtime.subscribe({ name: 'calm', events: '*', handle: () => {} });
  await calm.caughtUpTo(runtime.status().written);
  later(
    runtime.once('key', async (tx) => {
      tx.put('table', 'once', 1);
      await hold();
    }),
  );
  later(runtime.replay({ into: hold }));
  later(subscription.reset('start'));
  const answer = ask(dataDir, 'dry', { kind: 'replay', handler: 'held', dryRun: false });
  await until(() => contentOf(answer), Boolean);
  await until(
    () => begun,
    (count) => count >= 3,
  );
  const { deadLetters } = runtime;
  expect((await errorOf(runtime.close({ deadlineMs: 200 }))).code).toBe('CloseTimedOut');
  const files = filesOf(dataDir);
  letGo();
  later(deadLetters.requeue({ all: true }));
  later(deadLetters.messages.requeue({ reason: 'failed' }));
  later(calm.pause());
  later(calm.reset('start'));
  const codes = await Promise.all(ends);
  expect(new Set(codes)).toEqual(new Set(['RuntimeClosed']));
  // Another runtime has the directory now, and what goes on in the first one does not disturb it.
  expect(filesOf(dataDir)).toEqual(files);
  const after = await startRuntime({ dataDir, shards: 1 });
  expect(await after.effects.range('table')).toEqual([]);
  await after.subscribe({ name: 'held', events: '*', handle: () => {} }).caughtUpTo(after.status().written);
});
