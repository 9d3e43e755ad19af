// Rings and bells between real threads. Nobody sleeps with a bound here: a wake-up that gets lost hangs the run, and the
// overall bound turns that into a failure.
import { MessageChannel, Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { createRing, RingMemory, Word } from '../../src/ring/ring.ts';
import type { BellRole, RingRole } from './thread.ts';

const overallMs = 40_000;

/** Run all roles at once; what each returned, or the first error. */
async function runAll(jobs: (Omit<RingRole, 'result'> | Omit<BellRole, 'result'>)[]): Promise<number[]> {
  const workers: Worker[] = [];
  let timer: NodeJS.Timeout | undefined;
  try {
    const results = jobs.map((job) => {
      const { port1, port2 } = new MessageChannel();
      const ports = 'ports' in job ? job.ports : [];
      const worker = new Worker(new URL('./thread.ts', import.meta.url), {
        workerData: { ...job, result: port2 },
        transferList: [port2, ...ports],
        execArgv: ['--conditions=trunkline-source'],
      });
      workers.push(worker);
      return new Promise<number>((resolve, reject) => {
        port1.once('message', resolve);
        worker.once('error', reject);
      });
    });
    const hung = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('a thread sleeps for ever')), overallMs);
    });
    return await Promise.race([Promise.all(results), hung]);
  } finally {
    clearTimeout(timer);
    // Plain JavaScript runs in them, nothing native: this is safe.
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

test.each([2 ** 31 - (32 << 20), 2 ** 32 - (32 << 20)])(
  '1,000,000 groups through three threads, counters beginning at %d',
  async (start) => {
    const groups = 1_000_000;
    const ring = createRing(1 << 16);
    const bells = new SharedArrayBuffer(8);
    const { words } = new RingMemory(ring);
    for (const word of [Word.head, Word.written, Word.tail]) words[word] = start | 0;
    const job = { ring, bells, groups };
    const [published, logged, last] = await runAll([
      { role: 'producer', ...job },
      { role: 'log', ...job },
      { role: 'last', ...job },
    ]);
    expect(last).toBe(logged);
    expect(published).toBeGreaterThan(64 << 20); // past the point where the counters wrap
    for (const word of [Word.head, Word.written, Word.tail]) expect(words[word]).toBe((start + published!) | 0);
  },
);

test('a bell rung by two threads always wakes its sleeper, blocked or in its event loop', async () => {
  const words = new SharedArrayBuffer(16 * 4);
  const count = 20_000;
  const channels = [new MessageChannel(), new MessageChannel()];
  const job = { words, ringers: 2, count };
  const [first, second, sleeps] = await runAll([
    ...channels.map(({ port1 }, index) => ({
      role: 'ringer' as const,
      ...job,
      index,
      ports: [port1],
      seed: 11 + index,
    })),
    { role: 'sleeper', ...job, index: 0, ports: channels.map(({ port2 }) => port2), seed: 5 },
  ]);
  expect([first, second]).toEqual([count, count]);
  expect(sleeps).toBeGreaterThan(1000);
});
