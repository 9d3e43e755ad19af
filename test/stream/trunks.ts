// An aggregate whose events have validators that tell their JSON Schema, in two releases: the second one takes a field away
// and asks for another.
import { z } from 'zod';
import { defineAggregate, event } from '../../src/index.ts';

const first = z.object({ trunk: z.string(), price: z.string() });
const second = z.object({ trunk: z.number(), mandatory: z.string() });
const schema = process.env.TRUNKS_RELEASE === '2' ? (second as never as typeof first) : first;

export const Trunk = defineAggregate('trunk', {
  module: import.meta.url,
  state: () => ({}),
  events: { Routed: event(schema) },
  evolve: { Routed: (state) => state },
  commands: {
    route(call, trunk: string) {
      call.raise('Routed', { trunk, price: '1.50' });
    },
  },
});

export const TrunkChanged: typeof Trunk = { ...Trunk, events: { Routed: event(second) as never } };
