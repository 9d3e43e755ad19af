// An enum grows, and a time in milliseconds is one in text. Consumers of items ask for the shape of the first release.
import { z } from 'zod';
import { defineAggregate } from '../../../src/index.ts';
import { Order as Before, service as serviceBefore } from './r08.ts';
import type { Service } from './service.ts';

const { name, ...before } = Before;

export const Order = defineAggregate(name, {
  ...before,
  module: import.meta.url,
  events: {
    ...before.events,
    Paid: before.events.Paid.next(
      z.object({ method: z.enum(['card', 'cash', 'transfer']), at: z.iso.datetime() }),
      ({ method, at }) => ({ method, at: new Date(at).toISOString() }),
    ),
  },
  evolve: {
    ...before.evolve,
    Paid: (state, { method, at }) => ({ ...state, paid: `${method} ${at}` }),
  },
  commands: {
    ...(before.commands as object),
    pay(order, method: 'card' | 'cash' | 'transfer', at: number) {
      order.raise('Paid', { method, at: new Date(at).toISOString() });
    },
  },
});

export const service: Service = { ...serviceBefore, versions: { OrderPlaced: 4, 'purchase.LineAdded': 1 } };
