// The cart, by a release that has forgotten that it was a basket.
import { defineAggregate } from '../../src/index.ts';
import { Cart as Renamed } from './cart.ts';

const { name, ...definition } = Renamed;
export const Cart: typeof Renamed = defineAggregate(name, {
  ...(definition as any),
  module: import.meta.url,
  renamedFrom: [],
}) as any;
