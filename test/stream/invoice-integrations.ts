// Integration events of an entity, whose events come by the database, too.
import { defineAggregate, event, integration } from '../../src/index.ts';

const Invoice = defineAggregate('invoice', {
  module: import.meta.url,
  state: () => ({}),
  events: { Made: event<Record<string, never>>() },
  evolve: { Made: (state) => state },
  commands: {},
});

export default [integration(Invoice, { Made: () => ({ type: 'invoice-made.v1', data: { isMade: true } }) })];
