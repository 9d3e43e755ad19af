// An aggregate whose messages and events end the process, or would. Imported by shards: no side effects.
import { defineAggregate } from '../../src/model/aggregate.ts';
import { event } from '../../src/model/event-spec.ts';

export const Deadly = defineAggregate('deadly', {
  module: import.meta.url,
  state: () => ({ took: 0 }),
  events: { Took: event<{ how: string }>() },
  evolve: { Took: ({ took }) => ({ took: took + 1 }) },
  commands: {
    /** In one group: what is deadly, and what only lies beside it. */
    begin(one, innocents: number, how: string) {
      one.raise('Took', { how });
      one.send(Deadly, 'deadly').end();
      one.send(Deadly, 'deadly').take();
      for (let i = 0; i < innocents; i++) one.send(Deadly, `innocent-${i}`).takeSlowly();
    },
    /** Ends the process, and not only its own thread. */
    end() {
      process.kill(process.pid, 'SIGKILL');
    },
    take(one) {
      one.raise('Took', { how: 'as usual' });
    },
    /** So that it is in hand when the process ends. */
    async takeSlowly(one) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      one.raise('Took', { how: 'as usual' });
    },
    took: (one) => one.state.took,
  },
});
