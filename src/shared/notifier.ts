// Waking a thread that sleeps, and only then. The sleeper says so in a shared word, looks again whether there is work,
// and sleeps; a thread that publishes work looks at the word, and rings only if it stands. Both sides use sequentially
// consistent atomics, so that one of the two always sees the other.

import type { MessagePort } from 'node:worker_threads';
import { blockWhile } from './block-while.ts';

/** The state of a sleeper's word. */
const awake = 0;
const blocked = 1; // in Atomics.wait: wake by notify
const inLoop = 2; // in its event loop: wake by a message that carries no data
const napping = 3; // in Atomics.wait as well, for so short a time that a publisher may leave it there

/** Whether a thread whose word this is blocks until it is rung: no code of its own runs meanwhile. */
export const isBlocked = (word: number): boolean => word === blocked || word === napping;

/** The sleeper's side of a notifier: owned by one thread. */
export class Parker {
  private readonly words: Int32Array;
  private readonly index: number;

  constructor(words: Int32Array, index: number) {
    this.words = words;
    this.index = index;
  }

  /** Block the thread until rung, for `boundMs` at most; not at all if `hasWork` after the word was set. */
  block(hasWork: () => boolean, boundMs: number): void {
    this.wait(blocked, hasWork, boundMs);
  }

  /** The same for a moment: {@link Notifier.notifyUnlessNapping} does not end it. */
  nap(hasWork: () => boolean, boundMs: number): void {
    this.wait(napping, hasWork, boundMs);
  }

  private wait(state: number, hasWork: () => boolean, boundMs: number): void {
    Atomics.store(this.words, this.index, state);
    if (!hasWork()) blockWhile(this.words, this.index, state, boundMs);
    Atomics.store(this.words, this.index, awake);
  }

  /** Ask for a message when there is work; returns false (and stays awake) if there is some already. */
  arm(hasWork: () => boolean): boolean {
    Atomics.store(this.words, this.index, inLoop);
    if (!hasWork()) return true;
    Atomics.store(this.words, this.index, awake);
    return false;
  }

  /** The thread is up again. */
  rise(): void {
    Atomics.store(this.words, this.index, awake);
  }
}

/** The publisher's side of a notifier; any thread may hold one. */
export class Notifier {
  private readonly words: Int32Array;
  private readonly index: number;
  private readonly port: MessagePort | undefined;

  /** `port` leads to the sleeper's event loop; a sleeper that only ever blocks needs none. */
  constructor(words: Int32Array, index: number, port?: MessagePort) {
    this.words = words;
    this.index = index;
    this.port = port;
  }

  /** The sleeper's thread has ended, and has no successor yet: who comes next begins awake. */
  reset(): void {
    Atomics.store(this.words, this.index, awake);
  }

  /** Call after publishing work. Costs one load while the sleeper is awake. */
  notify(): void {
    const state = Atomics.load(this.words, this.index);
    if (state === awake || Atomics.compareExchange(this.words, this.index, state, awake) !== state) return;
    if (state === inLoop) this.port?.postMessage(null);
    else Atomics.notify(this.words, this.index);
  }

  /** The same, but for a sleeper that naps: it looks by itself in a moment. */
  notifyUnlessNapping(): void {
    if (Atomics.load(this.words, this.index) !== napping) this.notify();
  }
}
