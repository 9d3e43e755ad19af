// Aggregates for tests of the catalogue: a renamed one with all that an event can have behind it, and names that every format
// must carry as text.
import { type AnyAggregate, defineAggregate, type EventSpec, event, versions } from 'trunkline';
import { z } from 'zod';
import type { PublishedStream } from '../../src/catalogue/published.ts';

export const hostile = ['<script>alert(1)</script>', 'a\u2028b', '`{x}`', 'it\'s "&amp;', 'a/../../b', '$ref', '---'];

export function aggregate(
  name: string,
  events: Record<string, EventSpec<any, any>>,
  more: { renamedFrom?: string[]; retired?: string[]; commands?: string[] } = {},
): AnyAggregate {
  const { commands = [], ...rest } = more;
  const evolve = Object.fromEntries(Object.keys(events).map((type) => [type, (state: unknown) => state]));
  const made = Object.fromEntries(commands.map((command) => [command, () => undefined]));
  const spec = { module: import.meta.url, state: () => 0, events, evolve: evolve as any, commands: made, ...rest };
  return defineAggregate(name, spec);
}

interface Tree {
  name: string;
  parts: Tree[];
}
const tree: z.ZodType<Tree> = z.object({
  name: z.string(),
  get parts() {
    return z.array(tree);
  },
});
const moved = z.object({ street: z.string(), phone: z.string() });

export const customer: AnyAggregate = aggregate(
  'customer',
  {
    SignedUp: versions(z.object({ name: z.string() }))
      .next(z.object({ given: z.string(), at: z.iso.datetime().optional() }), ({ name }) => ({ given: name }))
      .renamedFrom('Registered'),
    AddressGiven: event(z.object({ street: z.string() })).splitFrom('Moved', versions(moved), ({ street, phone }) => [
      ['AddressGiven', { street }],
      ['PhoneGiven', { phone }],
    ]),
    PhoneGiven: event<{ phone: string }>(),
    Grew: event(tree),
    Closed: versions(z.object({ a: z.string() }))
      .next(
        z.object({ b: z.string().meta({ description: '</script>\u2028' }) }).meta({ examples: [{ b: 'own' }] }),
        ({ a }) => ({ b: a }),
      )
      .retired(1),
  },
  { renamedFrom: ['client'], retired: ['Greeted'], commands: ['signUp', 'move'] },
);

/** Two places that are one when their parts are joined by a dot; names that are one where case counts for nothing. */
const alike = [
  aggregate('a.b', { c: event(z.object({ one: z.string() })) }),
  aggregate('a', { 'b.c': event(z.object({ two: z.string() })), 'B.c': event(z.object({ three: z.string() })) }),
];

const odd = hostile.map((name) =>
  aggregate(
    `odd ${name}`,
    { [name]: event(z.object({ [name]: z.literal(name) })), Old: event(z.object({})).renamedFrom(`was ${name}`) },
    { commands: [name], retired: [`no ${name}`] },
  ),
);

export const all: AnyAggregate[] = [customer, ...alike, ...odd];

export const many = (count: number): AnyAggregate =>
  aggregate(
    'many',
    Object.fromEntries(
      Array.from({ length: count }, (_, i) => [
        `E${i}`,
        versions(z.object({ name: z.string(), no: z.literal(i) })).next(
          z.object({ given: z.string(), at: z.int().optional() }),
          ({ name }) => ({ given: name }),
        ),
      ]),
    ),
  );

/** A stream with one topic for each name, or for each type: whatever is stored is in it. */
export const inTopics = (topicOf: (aggregateType: string, eventType: string) => string): PublishedStream => ({
  recordsOf: (aggregateType, type) => [{ type, schemaVersion: undefined, topic: topicOf(aggregateType, type) }],
  integrationTopicOf: (aggregateType) => `integration.${aggregateType}`,
});
