// What each format says of where events go: the versions that were chosen for topics, entities, integration events.
import { Parser } from '@asyncapi/parser';
import { expect, test } from 'vitest';
import { resolveKafka } from '../../src/adapters/kafka/settings.ts';
import type { Hidden } from '../../src/base/hidden.ts';
import { asyncapiDialects, asyncapiDocument } from '../../src/catalogue/asyncapi.ts';
import { type Catalogue, type CatalogueOptions, makeCatalogue } from '../../src/catalogue/catalogue.ts';
import { htmlPage } from '../../src/catalogue/html.ts';
import { jsonSchemaDocument } from '../../src/catalogue/json-schema.ts';
import { markdownFiles } from '../../src/catalogue/markdown.ts';
import { publishedStream } from '../../src/catalogue/published.ts';
import options from './config.ts';
import integrations from './integration.ts';
import { customer, inTopics } from './shop.ts';

const all = [...options.aggregates, ...options.entities!];
const settings = (options.stream!.options as Hidden<ReturnType<typeof resolveKafka>>).reveal();
const stream = await publishedStream(settings, all);
const made = (more: Partial<CatalogueOptions> = {}, aggregates = all): Catalogue =>
  makeCatalogue(aggregates, { service: 'shop', release: '1.2.0', stream, integrations, ...more });
const asyncapi = (more: Partial<CatalogueOptions> = {}, aggregates = all): any =>
  asyncapiDocument(made({ dialects: asyncapiDialects, ...more }, aggregates), 'cloudevents-structured');

test('each version has the topics that were chosen for it, under the name that it has there', () => {
  const found = Object.fromEntries(
    made()
      .aggregates.filter(({ name }) => name !== 'customer')
      .flatMap(({ name, events }) =>
        events.flatMap(({ type, versions }) =>
          versions.map(({ schemaVersion, records }) => [
            `${name}.${type}.${schemaVersion}`,
            records!.map(({ type, topic }) => `${type} in ${topic}`),
          ]),
        ),
      ),
  );
  expect(found).toEqual({
    'order.Noted.1': [],
    'order.Paid.1': ['Paid in shop.order.Paid'],
    'order.Paid.2': ['Paid in shop.order.Paid'],
    'order.Placed.1': ['Ordered in shop.order.Ordered'],
    'order.Placed.2': ['Placed in shop.order.Placed'],
    'order.Shipped.1': ['Shipped in shop.order.Shipped'],
    'order.Shipped.2': [],
    // As they are stored: versions are chosen for aggregates alone.
    'stock.Repriced.1': ['Repriced in shop.stock.Repriced'],
    'stock.Repriced.2': ['Repriced in shop.stock.Repriced'],
  });
});

test('AsyncAPI: a topic has the messages of its version; what no topic has is there, too', () => {
  const { channels, components } = asyncapi();
  const messages = Object.fromEntries(
    Object.entries<any>(channels).map(([key, channel]) => [channel.address ?? key, Object.keys(channel.messages)]),
  );
  expect(messages).toMatchObject({
    'shop.order.Ordered': ['order.Placed.1'],
    'shop.order.Placed': ['order.Placed.2'],
    'shop.order.Paid': ['order.Paid.1', 'order.Paid.2'],
    'shop.order.Shipped': ['order.Shipped.1'],
    'not_published.order': ['order.Noted.1', 'order.Shipped.2'],
    'shop.integration.order': ['integration_events.order'],
    'shop.stock.Repriced': ['stock.Repriced.1', 'stock.Repriced.2'],
  });
  expect(components.messages['order.Placed.1']).toMatchObject({
    name: 'Ordered',
    description: 'The event is called Placed today.',
    'x-trunkline': {
      producer: { service: 'shop', aggregate: 'order' },
      event: 'Placed',
      versions: [1, 2],
      topics: ['shop.order.Ordered', 'shop.order.Placed'],
      integrationTopic: 'shop.integration.order',
    },
  });
  expect(components.messages['stock.Repriced.2']['x-trunkline'].producer).toEqual({ service: 'shop', entity: 'stock' });
  expect(components.messages['integration_events.order']['x-trunkline'].causes).toEqual(['Paid', 'Placed']);
});

test.each([
  { format: 'trunkline' as const, hasTopics: true },
  { format: 'cloudevents-binary' as const, hasTopics: false },
])('AsyncAPI: its parser takes integration events in $format, topics: $hasTopics', async ({ format, hasTopics }) => {
  const given = made({ dialects: asyncapiDialects, stream: hasTopics ? stream : undefined, readers: [] });
  const { document, diagnostics } = await new Parser().parse(JSON.stringify(asyncapiDocument(given, format)));
  expect(diagnostics.map(({ message, path }) => `${path.join('.')}: ${message}`)).toEqual([]);
  const messages = document!.allMessages().all();
  expect(messages.map((message) => message.title())).toContain('integration events of order');
});

test('integration events are those of the stream: of each event with `whole`, of none where they are off', async () => {
  const [mapping] = integrations;
  const whole = made({ integrations: [{ ...mapping!, whole: () => undefined }] }).aggregates;
  expect(whole.find(({ name }) => name === 'order')!.integration).toEqual({
    topic: 'shop.integration.order',
    causes: ['Noted', 'Paid', 'Placed', 'Shipped'],
  });
  const offs: Record<string, boolean>[] = [{ integration: false }, { integration: false, 'integration.one': true }];
  const found = offs.map(async (publishing) => {
    const off = await publishedStream({ ...settings, publishing }, all);
    return made({ stream: off }).aggregates.find(({ name }) => name === 'order')!.integration?.topic;
  });
  expect(await Promise.all(found)).toEqual([undefined, 'shop.integration.order']);
  const unknown = made({ stream: undefined }).aggregates.find(({ name }) => name === 'order')!;
  expect(unknown.integration).toEqual({ topic: undefined, causes: ['Paid', 'Placed'] });
});

test.each([
  [{ Repriced: 1 }, "'Repriced' is no event"],
  [{ 'order.Placed': 3 }, "'order.Placed' has no version 3"],
  [{ 'customer.SignedUp': 1 }, 'no `down` leads'],
])('versions that a start refuses are refused: %j', async (versions, reason) => {
  const { versions: resolved } = resolveKafka({ brokers: ['localhost:9'], versions: versions as any });
  const refusal = await publishedStream({ ...settings, versions: resolved }, all).catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: 'InvalidOptions', message: expect.stringContaining(reason) });
});

test('JSON Schema, Markdown and HTML say producer, topics, readers and integration events', () => {
  const readers = [{ title: 'handler welcome', wants: (_: unknown, types: readonly string[]) => types[0] === 'Paid' }];
  const given = made({ readers });
  const { $defs } = jsonSchemaDocument(given) as any;
  expect($defs['order.Paid.2'].$comment).toBe(
    'producer: aggregate order of shop; topics: shop.order.Paid; read by: handler welcome; ' +
      'topic of its integration events: shop.integration.order',
  );
  expect($defs['order.Shipped.2'].$comment).toBe('producer: aggregate order of shop; topics: none');
  expect($defs['stock.Repriced.1'].$comment).toMatch(/^producer: entity stock of shop; /);
  const files = markdownFiles(given);
  const at = 'services/shop/events/order.Placed';
  expect(files.get(`${at}/versioned/1.0.0/index.mdx`)).toContain('- Topics: `shop.order.Ordered`');
  expect(files.get(`${at}/index.mdx`)).toContain(
    '- Becomes integration events, by default in `shop.integration.order`',
  );
  expect(files.get('services/shop/events/order.Shipped/index.mdx')).toContain('- In no topic');
  expect(files.get('services/shop/events/stock.Repriced/index.mdx')).toContain('of the entity `stock`');
  expect(files.get('channels/shop.integration.order/index.mdx')).toContain('- `integration events of order`');
  const sends = files.get('services/shop/index.mdx')!;
  expect(sends).toContain(
    ['  - id: "order.Shipped"', '    version: "1.0.0"', '    to:', '      - id: "shop.order.Shipped"'].join('\n'),
  );
  const page = htmlPage(given);
  expect(page).toContain('<li>Producer: <code>entity stock</code>, <code>service shop</code></li>');
  expect(page).toContain('<li>Becomes: <code>integration events in shop.integration.order</code></li>');
  expect(page).toContain('<li>In topics: <code>shop.order.Ordered</code></li>');
  expect(page).toContain('<p>In no topic.</p>');
});

test('a comment of the schema’s own stays', () => {
  const own = { type: 'object', $comment: 'mine' };
  const given = made({ stream: inTopics((type) => type) }, [customer]);
  const [one] = given.aggregates;
  const [event] = one!.events;
  const versions = [{ ...event!.versions[0]!, payload: { schema: own } as any }];
  const changed = { ...given, aggregates: [{ ...one!, events: [{ ...event!, versions, splits: [] }] }] };
  const { $defs } = jsonSchemaDocument(changed) as any;
  expect($defs['customer.AddressGiven.1'].$comment).toMatch(/^mine; producer: aggregate customer of shop/);
});
