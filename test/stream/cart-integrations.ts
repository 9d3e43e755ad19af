// Integration events of an aggregate type that was renamed.
import { integration } from '../../src/index.ts';
import { Cart } from '../evolution/cart.ts';

export default [
  integration(Cart, {
    ItemAdded: ({ aggregateType, data }) => ({ type: 'item.v1', data: { ...data, aggregateType } }),
  }),
];
