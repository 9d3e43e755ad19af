// The counter as a later release would have it: another reducer, and one event type less.
import { defineAggregate } from '../../src/model/aggregate.ts';
import { event } from '../../src/model/event-spec.ts';

export const EvolvedCounter = defineAggregate('counter', {
  module: import.meta.url,
  state: (): { total: number } => ({ total: 0 }),
  events: { Added: event<{ amount: number }>() },
  evolve: { Added: (state, data) => ({ total: state.total + 10 * data.amount }) },
  commands: {
    total(counter) {
      return counter.state.total;
    },
  },
});
