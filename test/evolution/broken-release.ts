// The order with an upcaster that cannot read every old payload.
import { defineAggregate, event, versions } from '../../src/index.ts';

export const Order = defineAggregate('order', {
  module: import.meta.url,
  state: (): { total: number } => ({ total: 0 }),
  events: {
    OrderCreated: versions<{ orderId: string; total: string }>().next<{ total: number }>(({ total }) => {
      if (!/^[\d.]+$/.test(total)) throw new Error(`no number: ${total}`);
      return { total: Number(total) };
    }),
    LineAdded: event<{ sku: string }>(),
    AddressGiven: event<{ street: string }>().splitFrom('ContactGiven', ({ street }) => [
      ['AddressGiven', { street: street.trim() }],
    ]),
  },
  retired: ['CouponUsed'],
  evolve: {
    OrderCreated: (_, { total }) => ({ total }),
    LineAdded: (state) => ({ ...state }),
    AddressGiven: (state) => ({ ...state }),
  },
  commands: {
    add(order, sku: string) {
      order.raise('LineAdded', { sku });
      return order.state.total;
    },
  },
});
