// An aggregate whose reducer keeps the event itself, as audit trails do.
import { defineAggregate, event } from 'trunkline';

export const Keeper = defineAggregate('keeper', {
  module: import.meta.url,
  state: (): { last: object } => ({ last: {} }),
  events: { Kept: event<{ text: string }>() },
  evolve: { Kept: (_state, _data, one) => ({ last: { ...one } }) },
  commands: {
    keep(keeper, text: string): object {
      keeper.raise('Kept', { text });
      return keeper.state.last;
    },
  },
});
