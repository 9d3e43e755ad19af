// Ends its process while a worker of it is inside a transaction: certainly, since the worker says when it is.
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { open } from 'lmdb';
import { ControlBlock } from '../../src/shared/control-block.ts';
import { guardTransaction, shutExitGuardAtExit } from '../../src/shared/exit-guard.ts';

const insideWord = 20; // a word that nobody else uses here

if (isMainThread) {
  const control = new ControlBlock();
  if (process.argv[3] === 'gated') shutExitGuardAtExit(control);
  new Worker(new URL(import.meta.url), { workerData: { memory: control.memory, file: process.argv[2] } });
  Atomics.wait(control.words, insideWord, 0);
  process.exit(5);
} else {
  const { memory, file } = workerData as { memory: SharedArrayBuffer; file: string };
  const control = new ControlBlock(memory);
  const data = open<Buffer, string>(file, { encoding: 'binary', noSync: true });
  for (;;) {
    guardTransaction(control, () =>
      data.transactionSync(() => {
        Atomics.store(control.words, insideWord, 1);
        Atomics.notify(control.words, insideWord);
        const end = performance.now() + 300;
        while (performance.now() < end) data.putSync('key', Buffer.alloc(100));
      }),
    );
  }
}
