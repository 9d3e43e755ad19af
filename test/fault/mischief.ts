// What may happen to a thread that runs other people's code. The aggregate brings it to a shard, a sink to the flush thread.
import { defineAggregate } from '../../src/model/aggregate.ts';
import { event } from '../../src/model/event-spec.ts';

export const mischiefs = ['throws later', 'rejects later', 'exits', 'runs out of heap', 'blocks'] as const;
export type Mischief = (typeof mischiefs)[number];

const blockMs = 5_000;

export function suffer(mischief: Mischief): void {
  switch (mischief) {
    case 'throws later':
      setTimeout(() => {
        throw new Error('nobody catches this');
      });
      return;
    case 'rejects later':
      void Promise.reject(new Error('nobody awaits this'));
      return;
    case 'exits':
      process.exit(3);
      break;
    case 'runs out of heap':
      // Small objects alone: V8 ends the thread between two of them, and the process over a large one.
      for (let kept: object = {}; ; ) kept = { kept };
    case 'blocks':
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, blockMs);
  }
}

export const Victim = defineAggregate('victim', {
  module: import.meta.url,
  state: () => ({}),
  events: { Suffered: event<Record<string, never>>() },
  evolve: { Suffered: (state) => state },
  commands: {
    suffer(_victim, mischief: Mischief) {
      suffer(mischief);
    },
  },
});
