// A field has another name, and so has an event type. The topic carries two versions while its consumers move.
import { z } from 'zod';
import { defineAggregate } from '../../../src/index.ts';
import { decimal } from './fields.ts';
import { Order as Before, service as serviceBefore } from './r03.ts';
import type { Service } from './service.ts';

const { name, ...before } = Before;
const { LineAdded, ...events } = before.events;
const { LineAdded: _, ...evolve } = before.evolve;

export const Order = defineAggregate(name, {
  ...before,
  module: import.meta.url,
  events: {
    ...events,
    PurchaseOpened: before.events.PurchaseOpened.next(
      z.object({ customer: z.string(), amount: decimal, currency: z.string() }),
      ({ total, ...rest }) => ({ ...rest, amount: total }),
      { down: ({ amount, ...rest }) => ({ ...rest, total: amount }) },
    ),
    ItemAdded: LineAdded.renamedFrom('LineAdded'),
  },
  evolve: {
    ...evolve,
    PurchaseOpened: (state, { customer, amount, currency }) => ({ ...state, customer, total: `${amount} ${currency}` }),
    ItemAdded: (state, { sku, quantity }) => ({ ...state, items: [...state.items, `${quantity} ${sku}`] }),
  },
  commands: {
    ...(before.commands as object),
    open(order, customer: string, cents: number, currency: string) {
      order.raise('PurchaseOpened', { customer, amount: (cents / 100).toFixed(2), currency });
    },
    add(order, sku: string, quantity: number) {
      order.raise('ItemAdded', { sku, quantity });
    },
  },
});

export const service: Service = { ...serviceBefore, itemEvent: 'ItemAdded', versions: { PurchaseOpened: [1, 3] } };
