// Release 1 of an order service. Each later release stands in a module of its own that says only what it changes.
import { z } from 'zod';
import { defineAggregate, event } from '../../../src/index.ts';
import { decimal, milliseconds } from './fields.ts';
import type { Service } from './service.ts';

/** What an order is to its users. It is the same in all releases; the events that it is made of change. */
export interface OrderState {
  customer: string;
  total: string;
  items: string[];
  address: string;
  coupons: number;
  paid: string;
}

export const Order = defineAggregate('purchase', {
  module: import.meta.url,
  state: (): OrderState => ({ customer: '', total: '', items: [], address: '', coupons: 0, paid: '' }),
  events: {
    PurchaseOpened: event(z.object({ customer: z.string(), total: decimal })),
    LineAdded: event(z.object({ sku: z.string() })),
    ContactGiven: event(z.object({ street: z.string(), phone: z.string() })),
    CouponUsed: event(z.object({ code: z.string() })),
    PaidByCard: event(z.object({ at: milliseconds })),
    PaidInCash: event(z.object({ at: milliseconds })),
  },
  evolve: {
    PurchaseOpened: (state, { customer, total }) => ({ ...state, customer, total: `${total} EUR` }),
    LineAdded: (state, { sku }) => ({ ...state, items: [...state.items, `1 ${sku}`] }),
    ContactGiven: (state, { street, phone }) => ({ ...state, address: `${street}, ${phone}` }),
    CouponUsed: (state) => ({ ...state, coupons: state.coupons + 1 }),
    PaidByCard: (state, { at }) => ({ ...state, paid: `card ${new Date(at).toISOString()}` }),
    PaidInCash: (state, { at }) => ({ ...state, paid: `cash ${new Date(at).toISOString()}` }),
  },
  snapshot: { every: 5 }, // those of other releases are left aside
  commands: {
    look: (order): number => order.version,
    open(order, customer: string, cents: number, _currency: string) {
      order.raise('PurchaseOpened', { customer, total: (cents / 100).toFixed(2) });
    },
    add(order, sku: string, _quantity: number) {
      order.raise('LineAdded', { sku });
    },
    reach(order, street: string, phone: string) {
      order.raise('ContactGiven', { street, phone });
    },
    redeem(order, code: string) {
      order.raise('CouponUsed', { code });
    },
    pay(order, method: string, at: number) {
      order.raise(method === 'card' ? 'PaidByCard' : 'PaidInCash', { at });
    },
  },
});

export const service: Service = { handler: { name: 'billing' }, itemEvent: 'LineAdded' };
