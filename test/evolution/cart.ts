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
      if (sku === 'broken') throw new Error('broken');
      cart.raise('ItemAdded', { sku });
      return cart.state.items.length;
    },
    sendItself(cart, sku: string): void {
      cart.raise('ItemAdded', { sku });
      cart.send<AnyAggregate>(Cart, 'other').add!(sku);
    },
    async askTill(cart, id: string): Promise<unknown> {
      return await cart.ask<AnyAggregate>(Till, id).lookBack!(cart.id);
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
    async lookBack(till, id: string): Promise<unknown> {
      return await till.ask<AnyAggregate>(Cart, id).askTill!(till.id);
    },
    sendBroken: (till, id: string): void => till.send(Cart, id).add('broken'),
  },
});
