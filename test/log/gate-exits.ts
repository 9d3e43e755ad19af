// Ends its process while a worker of it is inside a transaction: certainly, since the worker says when it is.
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { open } from 'lmdb';
import { ControlBlock } from '../../src/shared/control-block.ts';
import { guardTransaction, shutExitGuardAtExit } from '../../src/shared/exit-guard.ts';

/** Becomes 1 once the worker is inside a transaction. */
const isInside = (memory: SharedArrayBuffer): Int32Array => new Int32Array(memory);

if (isMainThread) {
  const control = new ControlBlock();
  const inside = new SharedArrayBuffer(4);
  if (process.argv[3] === 'gated') shutExitGuardAtExit(control);
  new Worker(new URL(import.meta.url), { workerData: { memory: control.memory, inside, file: process.argv[2] } });
  Atomics.wait(isInside(inside), 0, 0);
  process.exit(5);
} else {
  const { memory, inside, file } = workerData as Record<'memory' | 'inside', SharedArrayBuffer> & { file: string };
  const control = new ControlBlock(memory);
  const data = open<Buffer, string>(file, { encoding: 'binary', noSync: true });
  for (;;) {
    guardTransaction(control, () =>
      data.transactionSync(() => {
        Atomics.store(isInside(inside), 0, 1);
        Atomics.notify(isInside(inside), 0);
        const end = performance.now() + 300;
        while (performance.now() < end) data.putSync('key', Buffer.alloc(100));
      }),
    );
  }
}
