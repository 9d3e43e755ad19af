// Durations and deadlines are measured by the monotonic clock. Every place in src that looks at the date is named here, with
// the reason; one that is not fails, since the date leaps: a correction of it ends no wait and makes no key expire.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { monotonicMs } from '../src/clock.ts';

const source = fileURLToPath(new URL('../src', import.meta.url));

/** File → how often it looks at the date, and what for. */
const datesMeant: Readonly<Record<string, readonly [count: number, reason: string]>> = {
  'actor/basis.ts': [1, 'occurredAt and id of the frame'],
  'actor/execution.ts': [2, 'occurredAt of events and of messages'],
  'actor/outcome.ts': [1, 'occurredAt and id of the frame'],
  'actor/snapshots.ts': [1, 'occurredAt and id of the frame'],
  'entity/aggregate-root.ts': [1, 'occurredAt'],
  'entity/publisher.ts': [1, 'occurredAt and ids'],
  'entity/transactions.ts': [1, 'occurredAt'],
  'handlers/dead-letters.ts': [1, 'compared with parkedAt, which people read'],
  'handlers/message-box.ts': [1, 'parkedAt, which people read'],
  'handlers/message-letters.ts': [1, 'compared with parkedAt, which people read'],
  'handlers/parked.ts': [1, 'parkedAt, which people read'],
  'handlers/requests.ts': [1, 'compared with the time of a file'],
  'handlers/subscription-status.ts': [2, 'how long ago an event occurred; updatedAt, which people read'],
  'ids.ts': [1, 'UUIDv7 begins with the date'],
  'log/marker.ts': [1, 'the date of the boot, where the kernel has no name for it; another one is only slower'],
  'log/rebuild.ts': [1, 'the name of a folder'],
  'outbox/relay-ring.ts': [1, 'occurredAt and id of the frame'],
  'store/lmdb/sink.ts': [1, 'compared with the date in ids: a wrong one costs a query'],
  'store/lmdb/writer.ts': [1, 'where the clock of keys begins, once in the life of a store'],
  'store/postgres/sink.ts': [1, 'the months to make partitions for'],
  'testing/given.ts': [1, 'occurredAt'],
};

function datesIn(file: string): number {
  const code = readFileSync(file, 'utf8')
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/(^|[^:])\/\/.*$/gm, '$1');
  return (code.match(/\bDate\.now\b|\bDate\s*\(\s*\)|\bperformance\.timeOrigin\b/g) ?? []).length;
}

test('whoever looks at the date is on the list, and nobody takes it for a duration', () => {
  const found: Record<string, number> = {};
  for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
    const file = join(entry.parentPath, entry.name);
    const count = datesIn(file);
    if (count > 0) found[file.slice(source.length + 1)] = count;
  }
  expect(found).toEqual(Object.fromEntries(Object.entries(datesMeant).map(([file, [count]]) => [file, count])));
});

test('the monotonic clock is the same in all threads', async () => {
  const code = `import('node:worker_threads').then(async ({ parentPort, workerData }) => {
    const { monotonicMs } = await import(workerData);
    parentPort.postMessage(monotonicMs());
  })`;
  const before = monotonicMs();
  const worker = new Worker(code, { eval: true, workerData: new URL('../src/clock.ts', import.meta.url).href });
  const there = await new Promise<number>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  expect(there).toBeGreaterThan(before);
  expect(there).toBeLessThan(monotonicMs());
  await worker.terminate();
});
