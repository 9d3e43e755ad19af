// A field more, which may be absent: consumers of before go on, and so do their schemas.
import { z } from 'zod';
import { defineAggregate } from '../../../src/index.ts';
import { Order as Before } from './r01.ts';

const { name, ...before } = Before;

export const Order = defineAggregate(name, {
  ...before,
  module: import.meta.url,
  events: {
    ...before.events,
    LineAdded: before.events.LineAdded.next(
      z.object({ sku: z.string(), quantity: z.int().optional() }),
      (old) => ({ ...old, quantity: 1 }),
      { down: ({ sku }) => ({ sku }) },
    ),
  },
  evolve: {
    ...before.evolve,
    LineAdded: (state, { sku, quantity }) => ({ ...state, items: [...state.items, `${quantity} ${sku}`] }),
  },
  commands: {
    ...before.commands,
    add(order, sku: string, quantity: number) {
      order.raise('LineAdded', { sku, quantity });
    },
  },
});

export { service } from './r01.ts';
