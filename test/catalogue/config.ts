// The options of a service: aggregates, an entity, and a stream with a version chosen for consumers of before, two during a
// migration, events that are not published, and integration events.
import { defineEntityEvents, type EntityEvents, event, type RuntimeOptions, versions } from 'trunkline';
import { kafka } from 'trunkline/kafka';
import { z } from 'zod';
import { aggregate, customer } from './shop.ts';

const name = z.object({ name: z.string() });
const given = z.object({ given: z.string() });
const twice = versions(name).next(given, (old) => ({ given: old.name }), { down: (now) => ({ name: now.given }) });

export const order: ReturnType<typeof aggregate> = aggregate('order', {
  Placed: twice.renamedFrom('Ordered'),
  Paid: twice,
  Noted: event(name),
  Shipped: twice,
});

export const Stock: EntityEvents = defineEntityEvents('stock', { events: { Repriced: twice } });

const options: Pick<RuntimeOptions, 'aggregates' | 'entities' | 'stream'> = {
  aggregates: [order, customer],
  entities: [Stock],
  stream: kafka({
    brokers: ['localhost:9'],
    format: 'cloudevents-structured',
    topics: { prefix: 'shop', template: '{prefix}.{aggregateType}.{eventType}' },
    versions: { Ordered: 1, 'order.Placed': 2, Paid: [1, 2], Shipped: 1 },
    publishing: { 'order.Noted': false },
    integration: new URL('integration.ts', import.meta.url).href,
  }),
};
export default options;
