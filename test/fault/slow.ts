// What can be outrun: an aggregate whose command takes as long as it is told, and a sink that stands still while a file is
// there.
import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type Batch, defineAggregate, event, type Sink } from '../../src/index.ts';

export const Slow = defineAggregate('slow', {
  module: import.meta.url,
  state: () => ({}),
  events: { Worked: event<{ text: string }>() },
  evolve: { Worked: (state) => state },
  commands: {
    work(slow, workMs: number, text: string) {
      for (const until = performance.now() + workMs; performance.now() < until; );
      slow.raise('Worked', { text });
    },
  },
});

const lookMs = 10;

export function createSink({ whileThere }: { whileThere: string }): Sink {
  let position = 0;
  return {
    open: () => position,
    async write(batch: Batch, signal: AbortSignal) {
      while (existsSync(whileThere) && !signal.aborted) await pause(lookMs);
      position = batch.toPosition;
    },
    close() {},
  };
}
