// A shop's first release: baskets, and orders that ask them.
import { defineAggregate, event, Rejected } from '../../src/index.ts';

export const Basket = defineAggregate('basket', {
  module: import.meta.url,
  state: () => ({ items: [] as string[] }),
  events: { ItemAdded: event<{ sku: string }>() },
  evolve: {
    ItemAdded: (state, data, { aggregateType }) => ({ items: [...state.items, `${data.sku} of ${aggregateType}`] }),
  },
  commands: {
    add(basket, sku: string) {
      if (sku === '') throw new Rejected('no-sku');
      basket.raise('ItemAdded', { sku });
      return basket.state.items.length;
    },
    count: (basket) => basket.state.items.length,
  },
});

export const Till = defineAggregate('till', {
  module: import.meta.url,
  state: () => ({ baskets: 0 }),
  events: { BasketSeen: event<{ items: number }>() },
  evolve: { BasketSeen: (state) => ({ baskets: state.baskets + 1 }) },
  commands: {
    async look(till, id: string) {
      const items = await till.ask(Basket, id).count();
      till.raise('BasketSeen', { items });
      till.send(Basket, id).add(`by ${till.id}`);
      return items;
    },
  },
});
