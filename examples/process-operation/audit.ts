// The service's one actor: entities and actors live side by side, each type through its own door.
import { defineAggregate, event } from 'trunkline';

export const Audit = defineAggregate('audit', {
  module: import.meta.url,
  state: () => ({ notes: 0 }),
  events: { Noted: event<{ text: string }>() },
  evolve: { Noted: (state) => ({ notes: state.notes + 1 }) },
  commands: {
    note(audit, text: string) {
      audit.raise('Noted', { text });
    },
  },
});
