// An aggregate whose state JSON does not bring back.
import { defineAggregate, event } from 'trunkline';

export const Tally = defineAggregate('tally', {
  module: import.meta.url,
  state: (): { counts: Map<string, number> } => ({ counts: new Map() }),
  events: { Counted: event<{ name: string }>() },
  evolve: {
    Counted: ({ counts }, { name }) => ({ counts: new Map([...counts, [name, (counts.get(name) ?? 0) + 1]]) }),
  },
  commands: {
    count(tally, name: string): void {
      tally.raise('Counted', { name });
    },
  },
});
