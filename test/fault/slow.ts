// What can be outrun: an aggregate whose command takes as long as it is told, and a sink that takes as long for an event as
// a file says, while that is there.
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { Batch, Sink } from '../../src/index.ts';
import { defineAggregate } from '../../src/model/aggregate.ts';
import { event } from '../../src/model/event-spec.ts';

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

export function createSink({ paceFile }: { paceFile: string }): Sink {
  let position = 0;
  return {
    open: () => position,
    async write(batch: Batch, signal: AbortSignal) {
      const began = performance.now();
      const events = batch.toPosition - position;
      while (performance.now() - began < events * msPerEvent(paceFile) && !signal.aborted) await pause(lookMs);
      position = batch.toPosition;
    },
    close() {},
  };
}

function msPerEvent(paceFile: string): number {
  try {
    return Number(readFileSync(paceFile, 'utf8'));
  } catch {
    return 0;
  }
}
