// An amount in text is an integer of cents, and one event becomes two. It is rolled out while release 5 still runs.
import { z } from 'zod';
import { defineAggregate, event } from '../../../src/index.ts';
import { Order as Before } from './r05.ts';

const { name, ...before } = Before;
const { ContactGiven, ...events } = before.events;
const { ContactGiven: _, ...evolve } = before.evolve;

export const Order = defineAggregate(name, {
  ...before,
  module: import.meta.url,
  events: {
    ...events,
    OrderPlaced: before.events.OrderPlaced.next(
      z.object({ customer: z.string(), cents: z.int(), currency: z.string() }),
      ({ amount, ...rest }) => ({ ...rest, cents: Math.round(Number(amount) * 100) }),
      { down: ({ cents, ...rest }) => ({ ...rest, amount: (cents / 100).toFixed(2) }) },
    ),
    AddressGiven: event(z.object({ street: z.string() })).splitFrom(
      'ContactGiven',
      ContactGiven,
      ({ street, phone }) => [
        ['AddressGiven', { street }],
        ['PhoneGiven', { phone }],
      ],
    ),
    PhoneGiven: event(z.object({ phone: z.string() })),
  },
  evolve: {
    ...evolve,
    OrderPlaced: (state, { customer, cents, currency }) => ({
      ...state,
      customer,
      total: `${(cents / 100).toFixed(2)} ${currency}`,
    }),
    AddressGiven: (state, { street }) => ({ ...state, address: street }),
    PhoneGiven: (state, { phone }) => ({ ...state, address: `${state.address}, ${phone}` }),
  },
  commands: {
    ...(before.commands as object),
    open(order, customer: string, cents: number, currency: string) {
      order.raise('OrderPlaced', { customer, cents, currency });
    },
    reach(order, street: string, phone: string) {
      order.raise('AddressGiven', { street });
      order.raise('PhoneGiven', { phone });
    },
  },
});

export { service } from './r05.ts';
