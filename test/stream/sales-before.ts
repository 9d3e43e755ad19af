// A sale, as the release before has it.
import { z } from 'zod';
import { defineAggregate, event } from '../../src/index.ts';

export const Sale = defineAggregate('sale', {
  module: import.meta.url,
  state: () => ({}),
  events: { Opened: event(z.object({ total: z.string() })), Closed: event(z.object({ note: z.string() })) },
  evolve: { Opened: (state) => state, Closed: (state) => state },
  commands: {
    open(sale, total: string) {
      sale.raise('Opened', { total });
    },
    close(sale, note: string) {
      sale.raise('Closed', { note });
    },
  },
});
