// The aggregate and the handler are renamed again, and a text becomes an object.
import { z } from 'zod';
import { defineAggregate } from '../../../src/index.ts';
import { Order as Before, service as serviceBefore } from './r09.ts';
import type { Service } from './service.ts';

const { name, ...before } = Before;

export const Order = defineAggregate('sale', {
  ...before,
  module: import.meta.url,
  renamedFrom: [...before.renamedFrom, name],
  events: {
    ...before.events,
    OrderPlaced: before.events.OrderPlaced.next(
      z.object({ customer: z.object({ name: z.string() }), cents: z.int(), currency: z.string() }),
      ({ customer, ...rest }) => ({ ...rest, customer: { name: customer } }),
    ),
  },
  evolve: {
    OrderPlaced: (state, { customer, cents, currency }) => ({
      ...state,
      customer: customer.name,
      total: `${(cents / 100).toFixed(2)} ${currency}`,
    }),
    ItemAdded: (state, { sku, quantity }) => ({ ...state, items: [...state.items, `${quantity} ${sku}`] }),
    AddressGiven: (state, { street }) => ({ ...state, address: street }),
    PhoneGiven: (state, { phone }) => ({ ...state, address: `${state.address}, ${phone}` }),
    Paid: (state, { method, at }) => ({ ...state, paid: `${method} ${at}` }),
  },
  commands: {
    ...(before.commands as object),
    open(order, customer: string, cents: number, currency: string) {
      order.raise('OrderPlaced', { customer: { name: customer }, cents, currency });
    },
  },
});

export const service: Service = {
  ...serviceBefore,
  handler: { name: 'accounts', renamedFrom: ['billing', 'invoicing'] },
  versions: { OrderPlaced: 5, LineAdded: 1 },
};
