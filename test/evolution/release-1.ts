// An order, as the first release of a service has it.
import { defineAggregate, event } from '../../src/index.ts';

export interface OrderState {
  total: string;
  lines: string[];
  contact: string;
}

export const Order = defineAggregate('order', {
  module: import.meta.url,
  state: (): OrderState => ({ total: '', lines: [], contact: '' }),
  events: {
    OrderCreated: event<{ orderId: string; total: string }>(),
    LineAdded: event<{ sku: string }>(),
    ContactGiven: event<{ street: string; phone: string }>(),
    CouponUsed: event<{ code: string }>(),
  },
  evolve: {
    OrderCreated: (state, { total }) => ({ ...state, total }),
    LineAdded: (state, { sku }) => ({ ...state, lines: [...state.lines, sku] }),
    ContactGiven: (state, { street, phone }) => ({ ...state, contact: `${street}, ${phone}` }),
    CouponUsed: (state) => ({ ...state }),
  },
  commands: {
    create(order, total: string) {
      order.raise('OrderCreated', { orderId: order.id, total });
    },
    add(order, sku: string) {
      order.raise('LineAdded', { sku });
    },
    reach(order, street: string, phone: string) {
      order.raise('ContactGiven', { street, phone });
    },
    redeem(order, code: string) {
      order.raise('CouponUsed', { code });
    },
  },
});
