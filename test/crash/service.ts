// A service under random load, to be killed at any instant. Tells its parent, line by line and at once, what it was told:
// what was acknowledged at which level, and what its listeners heard. A line is written to a pipe at once: what has been
// written there outlives the process.
import { writeSync } from 'node:fs';
import { createRuntime } from '../../src/index.ts';
import { Counter } from '../runtime/aggregates.ts';

const [dataDir, seedText, run] = process.argv.slice(2) as [string, string, string];
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
  dataDir,
  aggregates: [Counter],
  shards: 2,
  flush: { syncIntervalMs: random(20), ringBytes: 1 << 18 },
  log: { maxBytes: 32 << 20, retainBytes: 1 << 18 },
});
tell({ kind: 'started', recovery: runtime.recovery });
runtime.bus.on('*', (event) =>
  tell({ kind: 'heard', id: event.id, aggregateId: event.aggregateId, version: event.version }),
);

const acks = ['raised', 'written', 'written', 'written', 'synced', 'stored'] as const;

async function client(number: number): Promise<void> {
  for (let i = 0; ; i++) {
    const ack = acks[random(acks.length)]!;
    const id = `c${random(20)}`;
    const key = random(3) === 0 ? `${run}/${number}/${i}` : undefined;
    const kind = random(10);
    const metadata = kind < 4 ? { sends: 2 } : undefined;
    const counter = runtime.ref(Counter, id).with({ ack, idempotencyKey: key, metadata });
    const receipt = await (kind < 4
      ? counter.sendOther(`s${random(5)}`, 1)
      : kind === 4
        ? counter.addSlowly(1, random(3))
        : kind === 5
          ? counter.addMany(1 + random(5))
          : kind === 6
            ? counter.label('x'.repeat(random(5000) + 1))
            : counter.add(1));
    const events = receipt.events.map((event) => ({ id: event.id, version: event.version }));
    tell({ kind: 'acknowledged', ack, aggregateId: id, version: receipt.version, events });
  }
}

await Promise.all(Array.from({ length: 16 }, (_, number) => client(number)));
