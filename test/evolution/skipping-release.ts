// The order whose upcaster cannot read every old payload, and which passes over the one event that it cannot read: a shard's thread
// is told by a variable which one.
import { defineAggregate, event, versions } from '../../src/index.ts';

export const skipping = (eventId: string) =>
  defineAggregate('order', {
    module: import.meta.url,
    state: () => ({ total: 0, items: 0 }),
    events: {
      OrderCreated: versions<{ orderId: string; total: string }>().next<{ total: number }>(({ total }) => {
        if (!/^[\d.]+$/.test(total)) throw new Error(`no number: ${total}`);
        return { total: Number(total) };
      }),
      LineAdded: event<{ sku: string }>(),
    },
    skipped: [{ id: 'bad', version: 2, eventId }],
    evolve: {
      OrderCreated: (state, { total }) => ({ ...state, total }),
      LineAdded: (state) => ({ ...state, items: state.items + 1 }),
    },
    commands: {
      add(order, sku: string) {
        order.raise('LineAdded', { sku });
        return order.state.items;
      },
    },
  });

export const Skipping = skipping(process.env.BROKEN_EVENT ?? '0190a1b2-0000-7000-8000-000000000000');
