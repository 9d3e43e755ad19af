// Who grows the log's file: the sync thread ahead of need, the log thread if that has not been enough; never both at once.

import type { ReserveLock } from '../base/disk-reserve.ts';
import { blockWhile } from './block-while.ts';
import { type ControlBlock, Signal, signalsOf } from './control-block.ts';

const lookMs = 10;

export function reserveLock(control: ControlBlock): ReserveLock {
  const words = signalsOf(control);
  const word = Signal.reserving;
  return {
    enter() {
      while (Atomics.compareExchange(words, word, 0, 1) !== 0) blockWhile(words, word, 1, lookMs);
    },
    leave() {
      Atomics.store(words, word, 0);
      Atomics.notify(words, word);
    },
  };
}
