// What has written the history: the release that is running.
import { defineAggregate } from '../../src/model/aggregate.ts';
import { event } from '../../src/model/event-spec.ts';

export interface OrderState {
  lines: string[];
  cents: number;
  notes: number;
}

export const Order = defineAggregate('order', {
  module: import.meta.url,
  state: (): OrderState => ({ lines: [], cents: 0, notes: 0 }),
  events: {
    LineAdded: event<{ sku: string; cents: number }>(),
    Noted: event<{ text: string }>(),
    Discounted: event<{ cents: number }>(),
  },
  evolve: {
    LineAdded: (state, { sku, cents }) => ({ ...state, lines: [...state.lines, sku], cents: state.cents + cents }),
    Noted: (state) => ({ ...state, notes: state.notes + 1 }),
    Discounted: (state, { cents }) => ({ ...state, cents: state.cents - cents }),
  },
  commands: {
    add(order, sku: string, cents: number) {
      order.raise('LineAdded', { sku, cents });
    },
    note(order, text: string) {
      order.raise('Noted', { text });
    },
    discount(order, cents: number) {
      order.raise('Discounted', { cents });
    },
  },
});

export const Basket = defineAggregate('basket', {
  module: import.meta.url,
  state: () => ({ items: 0 }),
  events: { Filled: event<{ items: number }>() },
  evolve: { Filled: (_state, { items }) => ({ items }) },
  commands: {
    fill(basket, items: number) {
      basket.raise('Filled', { items });
    },
  },
});
