// The ring: its model, explored exhaustively, and the real one between three threads, with counters that begin just before
// they wrap, and with producers that die between claiming room and publishing what they wrote there.
import { Worker } from 'node:worker_threads';
import { createRing, RingMemory, Word } from '../../src/shared/ring/ring.ts';
import { exploreRing, type ReaderKind } from '../ring/model.ts';
import { runAll } from '../ring/run-threads.ts';
import type { Family, FaultRun } from './family.ts';

const starts = [2 ** 31 - (8 << 20), 2 ** 32 - (8 << 20)];
const readers: ReaderKind[] = ['blocks', 'serves its event loop'];
const wrapsAfterBytes = 8 << 20;
const leastMs = 60_000;
const millisecondsPerMessage = 0.1; // far more than one takes; a lost wake-up takes longer

export const ring: Family = {
  about: 'every interleaving of a small model; a stress run over the wrap of the counters, with producers that die',
  sizes: { messages: 300_000, modelled: 3, deaths: 3 },
  async run(run) {
    for (const reader of readers) {
      const sizes = { capacity: 2, messages: run.size('modelled'), start: 6, wrap: 8 };
      const { states, wrong } = exploreRing(sizes, reader);
      run.notes.push(`model, a reader that ${reader}: ${states} states`);
      if (wrong) run.fail(`model, a reader that ${reader}: ${wrong}`);
    }
    for (const start of starts) await stress(run, start);
  },
};

async function stress(run: FaultRun, start: number): Promise<void> {
  const groups = run.size('messages');
  const memory = createRing(1 << 16);
  const { words } = new RingMemory(memory);
  for (const word of [Word.head, Word.written, Word.tail]) words[word] = start | 0;
  // What they wrote lies where the living producer will begin; nobody may ever see it.
  for (let i = 0; i < run.size('deaths'); i++) {
    await dieClaiming(memory);
    run.faults++;
  }
  const job = { ring: memory, bells: new SharedArrayBuffer(8), groups };
  try {
    const [published, logged, last] = await runAll(
      [
        { role: 'producer', ...job },
        { role: 'log', ...job },
        { role: 'last', ...job },
      ],
      leastMs + groups * millisecondsPerMessage,
    );
    run.findings.acknowledged += groups;
    if (last !== logged) run.findings.lost.push(`the last reader saw ${last} frames of ${logged}`);
    if (published! < wrapsAfterBytes) run.fail(`${published} bytes: the counters did not wrap`);
    for (const word of [Word.head, Word.written, Word.tail]) {
      if (words[word] !== ((start + published!) | 0)) run.fail(`a counter ends at ${words[word]}`);
    }
  } catch (error) {
    run.fail(`counters from ${start}: ${error}`);
  }
}

/** A producer that is ended between claim and publish. Plain JavaScript runs in it, nothing native: this is safe. */
async function dieClaiming(memory: SharedArrayBuffer): Promise<void> {
  const bells = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(new URL('../ring/thread.ts', import.meta.url), {
    workerData: { role: 'claimer', ring: memory, bells: bells.buffer, groups: 0 },
    execArgv: ['--conditions=trunkline-source'],
  });
  await Atomics.waitAsync(bells, 1, 0, leastMs).value;
  await worker.terminate();
}
