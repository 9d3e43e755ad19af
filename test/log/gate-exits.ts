// Ends its process while a worker of it is inside a transaction: certainly, since the worker says when it is.
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { open } from 'lmdb';
import { shutGateAtExit, throughGate } from '../../src/shared/gate.ts';
import { Levels } from '../../src/shared/levels.ts';

const insideWord = 20; // a word that nobody else uses here

if (isMainThread) {
  const levels = new Levels();
  if (process.argv[3] === 'gated') shutGateAtExit(levels);
  new Worker(new URL(import.meta.url), { workerData: { memory: levels.memory, file: process.argv[2] } });
  Atomics.wait(levels.words, insideWord, 0);
  process.exit(5);
} else {
  const { memory, file } = workerData as { memory: SharedArrayBuffer; file: string };
  const levels = new Levels(memory);
  const data = open<Buffer, string>(file, { encoding: 'binary', noSync: true });
  for (;;) {
    throughGate(levels, () =>
      data.transactionSync(() => {
        Atomics.store(levels.words, insideWord, 1);
        Atomics.notify(levels.words, insideWord);
        const end = performance.now() + 300;
        while (performance.now() < end) data.putSync('key', Buffer.alloc(100));
      }),
    );
  }
}
