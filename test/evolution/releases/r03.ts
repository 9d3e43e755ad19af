// A required field more; the topic stays with the version that its consumers know. Commands of the release before are typed by its
// events: those that stay are taken as an object.
import { z } from 'zod';
import { defineAggregate } from '../../../src/index.ts';
import { decimal } from './fields.ts';
import { Order as Before, service as serviceBefore } from './r02.ts';
import type { Service } from './service.ts';

const { name, ...before } = Before;

export const Order = defineAggregate(name, {
  ...before,
  module: import.meta.url,
  events: {
    ...before.events,
    PurchaseOpened: before.events.PurchaseOpened.next(
      z.object({ customer: z.string(), total: decimal, currency: z.string() }),
      (old) => ({ ...old, currency: 'EUR' }),
      { down: ({ currency: _, ...rest }) => rest },
    ),
  },
  evolve: {
    ...before.evolve,
    PurchaseOpened: (state, { customer, total, currency }) => ({ ...state, customer, total: `${total} ${currency}` }),
  },
  commands: {
    ...(before.commands as object),
    open(order, customer: string, cents: number, currency: string) {
      order.raise('PurchaseOpened', { customer, total: (cents / 100).toFixed(2), currency });
    },
  },
});

export const service: Service = { ...serviceBefore, versions: { PurchaseOpened: 1 } };
