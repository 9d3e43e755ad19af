// The next release: the type and its first event have other names, the event a second version.
import { z } from 'zod';
import { defineAggregate, versions } from '../../src/index.ts';

export const Sale = defineAggregate('deal', {
  module: import.meta.url,
  renamedFrom: ['sale'],
  state: () => ({}),
  events: {
    Agreed: versions(z.object({ total: z.string() }))
      .next(
        z.object({ total: z.string(), currency: z.string() }),
        (old) => {
          if (old.total === 'broken') throw new Error('no total');
          return { ...old, currency: 'EUR' };
        },
        { down: ({ total }) => ({ total }) },
      )
      .renamedFrom('Opened'),
    Closed: versions(z.object({ note: z.string() })).next(z.object({ text: z.string() }), ({ note }) => ({
      text: note,
    })),
  },
  evolve: { Agreed: (state) => state, Closed: (state) => state },
  commands: {
    agree(sale, total: string) {
      sale.raise('Agreed', { total, currency: 'USD' });
    },
  },
});
