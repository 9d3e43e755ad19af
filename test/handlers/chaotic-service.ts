// A service whose handler fails at random, to be killed at any instant. Tells its parent, line by line and at once, what was
// handled. Its effect counts each aggregate's events in the event's own transaction: one counted twice, or left out, is told.
import { writeSync } from 'node:fs';
import { createRuntime, postgres } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';
import { count } from './counts.ts';

// With a database its events and its handlers' tables are there, and half of its effects happen in a transaction there.
const [dataDir, seedText, wantedText, connectionString] = process.argv.slice(2) as [string, string, string, string?];
process.stdin.on('end', () => process.exit(0)).resume(); // no service outlives its parent
let seed = Number(seedText);
const random = (below: number): number => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 2 ** 32) * below);
};
const aMoment = new Int32Array(new SharedArrayBuffer(4));

/** Whole, however slowly the parent reads: the pipe may have been set not to block. */
function tell(line: object): void {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(1, bytes, written);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(aMoment, 0, 0, 1);
    }
  }
}

const runtime = await createRuntime({
  logger: false,
  dataDir,
  aggregates: [Counter],
  shards: 1,
  flush: { syncIntervalMs: random(10) },
  ...(connectionString && { store: postgres({ connectionString }) }),
});
runtime.subscribe({
  name: 'chaos',
  concurrency: 1 + random(16),
  window: 50 + random(500),
  retry: { attempts: 2, minDelayMs: 0, maxDelayMs: 2 },
  breaker: false,
  async handle({ id, aggregateId, version }, { tx }) {
    const counted = await count(tx, aggregateId, version, connectionString !== undefined);
    if (counted !== version - 1) tell({ kind: 'wrong', aggregateId, version, counted });
    if (random(3) === 0) await new Promise((resolve) => setTimeout(resolve, random(3)));
    if (random(12) === 0) throw new Error('by chance');
    tell({ kind: 'handled', id, aggregateId, version });
  },
});
const timer = setInterval(() => void runtime.deadLetters.requeue({ reason: 'failed', limit: 1 + random(5) }), 5);
const wanted = Number(wantedText);
for (let sent = runtime.status().written; sent < wanted; sent += 20) {
  await Promise.all(Array.from({ length: 20 }, () => runtime.ref(Counter, `c${random(50)}`).add(1)));
}
tell({ kind: 'sent' });
timer.ref();
