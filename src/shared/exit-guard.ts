// `process.exit()` stops worker threads in the middle of their JavaScript. One that is stopped inside an LMDB write
// transaction never gives its lock back, and the library's own clean-up then waits for it without end. So transactions
// go through a gate, and the thread that made the runtime shuts it before the process ends.

import { pause, performance } from '../base/clock.ts';
import { blockWhile } from './block-while.ts';
import { type ControlBlock, Signal, signalsOf } from './control-block.ts';

// A transaction takes microseconds in the log, and some tens of milliseconds in the store with its sync.
const shutBoundMs = 5_000;

/** Run a transaction. Once the gate is shut the thread stays here, until the process has ended. */
export function guardTransaction<T>(control: ControlBlock, transaction: () => T): T {
  const words = signalsOf(control);
  Atomics.add(words, Signal.transactions, 1);
  if (Atomics.load(words, Signal.exiting) !== 0) {
    leave(words);
    for (;;) blockWhile(words, Signal.exiting, 1);
  }
  try {
    return transaction();
  } finally {
    leave(words);
  }
}

function leave(words: Int32Array): void {
  Atomics.sub(words, Signal.transactions, 1);
  if (Atomics.load(words, Signal.exiting) !== 0) Atomics.notify(words, Signal.transactions);
}

const lookEveryMs = 5;

/**
 * Shut it permanently, without holding this thread: no thread is in a transaction then, nor begins one. Takes as long
 * as the disk does for a transaction that has begun.
 */
export async function shutExitGuard(control: ControlBlock): Promise<void> {
  const words = signalsOf(control);
  Atomics.store(words, Signal.exiting, 1);
  while (Atomics.load(words, Signal.transactions) !== 0) await pause(lookEveryMs);
}

const gates = new Set<ControlBlock>();

/** Shut the gate when this process (or worker) ends without `close()`; returns how to take that back. */
export function shutExitGuardAtExit(control: ControlBlock): () => void {
  if (gates.size === 0) process.on('exit', shutGates);
  gates.add(control);
  return () => {
    gates.delete(control);
    if (gates.size === 0) process.off('exit', shutGates);
  };
}

function shutGates(): void {
  const deadline = performance.now() + shutBoundMs;
  for (const control of gates) Atomics.store(signalsOf(control), Signal.exiting, 1);
  for (const control of gates) {
    const words = signalsOf(control);
    for (;;) {
      const inside = Atomics.load(words, Signal.transactions);
      const remaining = deadline - performance.now();
      if (inside === 0 || remaining <= 0) break;
      blockWhile(words, Signal.transactions, inside, remaining);
    }
  }
}
