// The aggregate has another name, and so have its first event and the handler. The topic keeps the event's name of before.
import { defineAggregate } from '../../../src/index.ts';
import { Order as Before, service as serviceBefore } from './r04.ts';
import type { Service } from './service.ts';

const { name, ...before } = Before;
const { PurchaseOpened, ...events } = before.events;

export const Order = defineAggregate('order', {
  ...before,
  module: import.meta.url,
  renamedFrom: [name],
  events: { ...events, OrderPlaced: PurchaseOpened.renamedFrom('PurchaseOpened') },
  evolve: {
    OrderPlaced: (state, { customer, amount, currency }) => ({ ...state, customer, total: `${amount} ${currency}` }),
    ItemAdded: (state, { sku, quantity }) => ({ ...state, items: [...state.items, `${quantity} ${sku}`] }),
    ContactGiven: (state, { street, phone }) => ({ ...state, address: `${street}, ${phone}` }),
    CouponUsed: (state) => ({ ...state, coupons: state.coupons + 1 }),
    PaidByCard: (state, { at }) => ({ ...state, paid: `card ${new Date(at).toISOString()}` }),
    PaidInCash: (state, { at }) => ({ ...state, paid: `cash ${new Date(at).toISOString()}` }),
  },
  commands: {
    ...(before.commands as object),
    open(order, customer: string, cents: number, currency: string) {
      order.raise('OrderPlaced', { customer, amount: (cents / 100).toFixed(2), currency });
    },
  },
});

export const service: Service = {
  ...serviceBefore,
  handler: { name: 'invoicing', renamedFrom: ['billing'] },
  versions: { PurchaseOpened: 3 },
};
