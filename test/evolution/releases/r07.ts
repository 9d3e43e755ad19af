// Two events become one. The topic carries the first event by two names, each in its version.
import { z } from 'zod';
import { defineAggregate, event } from '../../../src/index.ts';
import { milliseconds } from './fields.ts';
import { Order as Before, service as serviceBefore } from './r06.ts';
import type { Service } from './service.ts';

const { name, ...before } = Before;
const { PaidByCard, PaidInCash, ...events } = before.events;
const { PaidByCard: _, PaidInCash: __, ...evolve } = before.evolve;

export const Order = defineAggregate(name, {
  ...before,
  module: import.meta.url,
  events: {
    ...events,
    Paid: event(z.object({ method: z.enum(['card', 'cash']), at: milliseconds }))
      .splitFrom('PaidByCard', PaidByCard, ({ at }) => [['Paid', { method: 'card', at }]])
      .splitFrom('PaidInCash', PaidInCash, ({ at }) => [['Paid', { method: 'cash', at }]]),
  },
  evolve: {
    ...evolve,
    Paid: (state, { method, at }) => ({ ...state, paid: `${method} ${new Date(at).toISOString()}` }),
  },
  commands: {
    ...(before.commands as object),
    pay(order, method: 'card' | 'cash', at: number) {
      order.raise('Paid', { method, at });
    },
  },
});

export const service: Service = { ...serviceBefore, versions: { PurchaseOpened: 3, OrderPlaced: 4 } };
