// Aggregates whose names are two to us and one to Kafka, or to whoever reads them.
import { defineAggregate, event } from '../../src/index.ts';

const named = (name: string) =>
  defineAggregate(name, {
    module: import.meta.url,
    state: () => ({}),
    events: { Happened: event<{ n: number }>() },
    evolve: { Happened: (state) => state },
    commands: {},
  });

export const Colliding = { dotted: named('back.office'), underlined: named('back_office') };
export const Cased = { lower: named('order'), upper: named('Order') };
export const { dotted, underlined } = Colliding;
export const { lower, upper } = Cased;
