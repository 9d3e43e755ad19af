// The same order, some releases later: a version with one field more, a renamed one, an event renamed, one split, one retired.
import { z } from 'zod';
import { defineAggregate, event, versions } from '../../src/index.ts';

export interface OrderState {
  amount: string;
  currency: string;
  schemaVersion: number;
  items: string[];
  address: string;
  phone: string;
}

export const Order = defineAggregate('order', {
  module: import.meta.url,
  state: (): OrderState => ({ amount: '', currency: '', schemaVersion: 0, items: [], address: '', phone: '' }),
  events: {
    OrderCreated: versions<{ orderId: string; total: string }>()
      .next<{ orderId: string; total: string; currency: string }>((old) => ({ ...old, currency: 'USD' }))
      .next(
        z.object({ orderId: z.string(), amount: z.string(), currency: z.string() }),
        ({ total, ...rest }) => ({ ...rest, amount: total }),
        { down: ({ amount, ...rest }) => ({ ...rest, total: amount }) },
      ),
    ItemAdded: event<{ sku: string }>().renamedFrom('LineAdded'),
    AddressGiven: event<{ street: string }>().splitFrom('ContactGiven', ({ street, phone }) => [
      ['AddressGiven', { street }],
      ['PhoneGiven', { phone }],
    ]),
    PhoneGiven: event<{ phone: string }>(),
  },
  retired: ['CouponUsed'],
  evolve: {
    OrderCreated: (state, { amount, currency }, { schemaVersion }) => ({ ...state, amount, currency, schemaVersion }),
    ItemAdded: (state, { sku }, { type, schemaVersion }) => ({
      ...state,
      items: [...state.items, `${sku} by ${type}@${schemaVersion}`],
    }),
    AddressGiven: (state, { street }, { type, schemaVersion }) => ({
      ...state,
      address: `${street} by ${type}@${schemaVersion}`,
    }),
    PhoneGiven: (state, { phone }) => ({ ...state, phone }),
  },
  commands: {
    create(order, amount: string, currency: string) {
      order.raise('OrderCreated', { orderId: order.id, amount, currency });
    },
    add(order, sku: string) {
      order.raise('ItemAdded', { sku });
      return order.version;
    },
  },
});
