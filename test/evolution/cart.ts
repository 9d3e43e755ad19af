// The next release: a basket is a cart.
import { type AnyAggregate, defineAggregate, event, Rejected } from '../../src/index.ts';

export const Cart = defineAggregate('cart', {
  module: import.meta.url,
  renamedFrom: ['basket', 'trolley'],
  state: () => ({ items: [] as string[] }),
  events: { ItemAdded: event<{ sku: string }>() },
  evolve: {
    ItemAdded: (state, data, { aggregateType }) => ({ items: [...state.items, `${data.sku} of ${aggregateType}`] }),
  },
  commands: {
    add(cart, sku: string) {
      if (sku === '') throw new Rejected('no-sku');
      cart.raise('ItemAdded', { sku });
      return cart.state.items.length;
    },
    sendItself(cart, sku: string): void {
      cart.raise('ItemAdded', { sku });
      cart.send<AnyAggregate>(Cart, 'other').add!(sku);
    },
    count: (cart) => cart.state.items.length,
    async askItself(cart, id: string): Promise<unknown> {
      return await cart.ask<AnyAggregate>(Cart, id).count!();
    },
  },
});

export const Till = defineAggregate('till', {
  module: import.meta.url,
  state: () => ({ baskets: 0 }),
  events: { BasketSeen: event<{ items: number }>() },
  evolve: { BasketSeen: (state) => ({ baskets: state.baskets + 1 }) },
  commands: {
    async look(till, id: string) {
      const items = await till.ask(Cart, id).count();
      till.raise('BasketSeen', { items });
      till.send(Cart, id).add(`by ${till.id}`);
      return items;
    },
  },
});
