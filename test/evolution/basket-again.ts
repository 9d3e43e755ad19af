// The basket, which was a cart in between.
import { defineAggregate } from '../../src/index.ts';
import { Cart } from './cart.ts';

const { name: _, ...definition } = Cart;
export const Basket: typeof Cart = defineAggregate('basket', {
  ...(definition as any),
  module: import.meta.url,
  renamedFrom: ['basket', 'cart'],
}) as any;
