// An aggregate with a point in its name: with a template of both names, a type `shop` could stand for a part of it.
import { defineAggregate, event } from '../../src/index.ts';

export const Order = defineAggregate('shop.order', {
  module: import.meta.url,
  state: () => ({}),
  events: { Paid: event<{ amount: number }>() },
  evolve: { Paid: (state) => state },
  commands: {
    pay(order, amount: number) {
      order.raise('Paid', { amount });
    },
  },
});
