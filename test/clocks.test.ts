// Durations and deadlines are measured by the monotonic clock. Every place in src that looks at the date is named here, with
// the reason; one that is not fails, since the date leaps: a correction of it ends no wait and makes no key expire. And every
// timer and clock of src is that of clock.ts, which no fake timers of a user's reach.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { clearTimeout, monotonicMs, pause, setTimeout } from '../src/base/clock.ts';

const source = fileURLToPath(new URL('../src', import.meta.url));

/** File → how often it looks at the date, and what for. */
const datesMeant: Readonly<Record<string, readonly [count: number, reason: string]>> = {
  'shard/basis.ts': [1, 'occurredAt and id of the frame'],
  'shard/execution.ts': [
    5,
    'occurredAt of events and of messages, and when a timer is due, which a shard and the test kit tell differently',
  ],
  'shard/outcome.ts': [1, 'occurredAt and id of the frame'],
  'shard/shard.ts': [1, 'occurredAt of events and of messages'],
  'shard/snapshots.ts': [1, 'occurredAt and id of the frame'],
  'timers/schedules.ts': [4, 'slots are dates of the world'],
  'timers/timers.ts': [2, 'whether a timer is due: its date is one of the world'],
  'entity/aggregate-root.ts': [1, 'occurredAt'],
  'entity/publish-ring.ts': [1, 'occurredAt and ids'],
  'entity/transactions.ts': [1, 'occurredAt'],
  'dead-letters/dead-letters.ts': [1, 'compared with parkedAt, which people read'],
  'dead-letters/message-box.ts': [1, 'parkedAt, which people read'],
  'dead-letters/message-letters.ts': [1, 'compared with parkedAt, which people read'],
  'dead-letters/parked-sequences.ts': [1, 'parkedAt, which people read'],
  'runtime/handlers-requests.ts': [1, 'compared with the time of a file'],
  'subscriptions/subscription-status.ts': [2, 'how long ago an event occurred; updatedAt, which people read'],
  'wire/ids.ts': [1, 'UUIDv7 begins with the date'],
  'log/run-manifest.ts': [1, 'the date of the boot, where the kernel has no name for it; another one is only slower'],
  'log/rebuild.ts': [1, 'the name of a folder'],
  'outbox/relay-ring.ts': [1, 'occurredAt and id of the frame'],
  'adapters/lmdb/store/sink.ts': [1, 'compared with the date in ids: a wrong one costs a query'],
  'adapters/lmdb/store/writer.ts': [1, 'where the clock of keys begins, once in the life of a store'],
  'adapters/postgres/flush/sink.ts': [1, 'the months to make partitions for'],
  'rehearsal/live/tap.ts': [1, 'what a command that has raised nothing may raise in a rehearsal bears it'],
  'testing/given.ts': [1, 'occurredAt, as the test of a user has the date'],
};

function codeOf(file: string): string {
  return readFileSync(file, 'utf8')
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/(^|[^:])\/\/.*$/gm, '$1');
}

function* files(): Iterable<[name: string, code: string]> {
  for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
    const file = join(entry.parentPath, entry.name);
    yield [file.slice(source.length + 1), codeOf(file)];
  }
}

const clockImport = /^import \{([^}]*)\} from '(?:\.\.?\/)+(?:base\/)?clock\.ts';$/m;

function datesIn(code: string): number {
  const rest = code.replace(clockImport, '');
  return (rest.match(/\bdateMs\b(?!: \()|\bDate\.now\b|\bDate\s*\(\s*\)|\bperformance\.timeOrigin\b/g) ?? []).length;
}

test('whoever looks at the date is on the list, and nobody takes it for a duration', () => {
  const found: Record<string, number> = {};
  for (const [file, code] of files()) {
    if (file === 'base/clock.ts') continue;
    const count = datesIn(code);
    if (count > 0) found[file] = count;
  }
  expect(found).toEqual(Object.fromEntries(Object.entries(datesMeant).map(([file, [count]]) => [file, count])));
});

/** Where src goes by the globals of the moment. */
const globalsMeant: Readonly<Record<string, string>> = {
  'base/clock.ts': 'where all others have them from',
  'log/snapshot.ts': "keeps lmdb-js from making a timer: it is the library's global that counts",
  'testing/given.ts': "the test kit goes by the user's date",
};

const ofClock = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'];
/** Fake timers replace these as well; what they are for, clock.ts has. */
const elsewhere =
  /\b(?:Date\.now|new Date\(\)|hrtime|setImmediate|queueMicrotask|nextTick|requestIdleCallback)\b|\bnode:timers\b|\bscheduler\.wait\b/;

test('every timer and clock of src comes from clock.ts, bound before a user can fake it', () => {
  const wrong: string[] = [];
  for (const [file, code] of files()) {
    if (file in globalsMeant) continue;
    const imported =
      clockImport
        .exec(code)?.[1]
        ?.split(',')
        .map((name) => name.trim()) ?? [];
    for (const name of ofClock) {
      if (new RegExp(`(?<![.\\w'])${name}(?:\\(|\\.)`).test(code) && !imported.includes(name))
        wrong.push(`${file}: ${name}`);
    }
    const other = elsewhere.exec(code) ?? /\bglobalThis\.(?:set|clear|performance|Date)\w*/.exec(code);
    if (other) wrong.push(`${file}: ${other[0]}`);
  }
  expect(wrong).toEqual([]);
});

test('the monotonic clock is the same in all threads', async () => {
  const code = `import('node:worker_threads').then(async ({ parentPort, workerData }) => {
    const { monotonicMs } = await import(workerData);
    parentPort.postMessage(monotonicMs());
  })`;
  const before = monotonicMs();
  const worker = new Worker(code, { eval: true, workerData: new URL('../src/base/clock.ts', import.meta.url).href });
  const there = await new Promise<number>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  expect(there).toBeGreaterThan(before);
  expect(there).toBeLessThan(monotonicMs());
  await worker.terminate();
});

test('a thread that is put aside while it looks at both of its clocks has no other time than the rest', async () => {
  const code = `import('node:worker_threads').then(async ({ parentPort, workerData }) => {
    const real = process.hrtime.bigint;
    let looks = 0;
    process.hrtime.bigint = () => {
      if (looks++ === 0) for (const end = performance.now() + 400; performance.now() < end; );
      return real();
    };
    const { monotonicMs } = await import(workerData);
    const machineMs = Number(real()) / 1e6;
    parentPort.postMessage([monotonicMs() - machineMs, looks]);
  })`;
  const worker = new Worker(code, { eval: true, workerData: new URL('../src/base/clock.ts', import.meta.url).href });
  const [aheadMs, looks] = await new Promise<[number, number]>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  expect(looks).toBeGreaterThan(0);
  expect(Math.abs(aheadMs)).toBeLessThan(200);
  await worker.terminate();
});

test('a time beyond what a timer takes is a long one, not none', async () => {
  const ended: string[] = [];
  const timer = setTimeout(() => ended.push('timer'), 2 ** 32);
  pause(2 ** 32, 'pause', { ref: false }).then((what) => ended.push(what));
  await pause(5);
  clearTimeout(timer);
  expect(ended).toEqual([]);
});
