// What the formats of a catalogue say, judged by the readers of each: a validator, the parser of AsyncAPI.
import { Parser } from '@asyncapi/parser';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { formats } from '../../src/adapters/kafka/kafka-options.ts';
import { asyncapiDialects, asyncapiDocument } from '../../src/catalogue/asyncapi.ts';
import { type Catalogue, type CatalogueOptions, makeCatalogue } from '../../src/catalogue/catalogue.ts';
import { jsonSchemaDocument } from '../../src/catalogue/json-schema.ts';
import { markdownFiles } from '../../src/catalogue/markdown.ts';
import { relocated } from '../../src/catalogue/references.ts';
import { aggregate, all, customer, inTopics, many } from './shop.ts';

const made = (aggregates = all, options: Partial<CatalogueOptions> = {}): Catalogue =>
  makeCatalogue(aggregates, { service: 'shop', release: '1.2.0', ...options });
const stream = inTopics((aggregateType, type) => `shop.${aggregateType}.${type}`);

test('everything that a definition says is there', () => {
  const [one] = made([customer], { stream }).aggregates;
  expect(one).toMatchObject({
    name: 'customer',
    storedName: 'client',
    formerNames: ['client'],
    commands: ['move', 'signUp'],
    retired: ['Greeted'],
  });
  expect(one!.events.map(({ type }) => type)).toEqual(['AddressGiven', 'Closed', 'Grew', 'PhoneGiven', 'SignedUp']);
  const [address, closed, , phone, signed] = one!.events;
  expect(address!.splits).toMatchObject([{ type: 'Moved', topics: ['shop.client.Moved'] }]);
  expect(address!.splits[0]!.versions[0]!.example).toEqual({ value: { street: 'a', phone: 'a' } });
  expect(closed!.versions.map(({ isRead }) => isRead)).toEqual([false, true]);
  expect(closed!.versions[1]!.example).toEqual({ value: { b: 'own' } });
  expect(phone!.versions[0]).toMatchObject({ payload: { reason: expect.any(String) }, example: undefined });
  expect(signed).toMatchObject({
    schemaVersion: 2,
    formerNames: ['Registered'],
    topics: ['shop.client.SignedUp', 'shop.client.Registered'],
  });
});

test('the order in which things are declared changes nothing', () => {
  const two = aggregate('two', { ...customer.events });
  const back = aggregate('two', Object.fromEntries(Object.entries(customer.events).reverse()) as any);
  const texts = (given: Catalogue): unknown =>
    JSON.stringify([jsonSchemaDocument(given), asyncapiDocument(given, 'trunkline'), [...markdownFiles(given)]]);
  expect(texts(made([back, customer]))).toBe(texts(made([customer, two])));
});

test('JSON Schema: each version by its $id, which takes its own examples and nothing else', () => {
  const document = jsonSchemaDocument(made()) as { $defs: Record<string, any> };
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema(document, 'catalogue');
  const ids = Object.values(document.$defs).map(({ $id }) => $id);
  expect(new Set(ids).size).toBe(ids.length);
  let examples = 0;
  for (const { $id, examples: [example] = [] } of Object.values(document.$defs)) {
    const validate = ajv.getSchema($id)!;
    if (example === undefined) continue;
    examples++;
    expect(validate(example)).toBe(true);
    if (Object.keys(example).length > 0) expect(validate(7)).toBe(false);
  }
  expect(examples).toBeGreaterThan(20);
  // By the names of records: the aggregate type that is stored, an event's name of then.
  const former = ajv.getSchema('urn:trunkline:event:client:Registered:2')!;
  expect([former({ given: 'Ada' }), former({ name: 'Ada' })]).toEqual([true, false]);
  expect(document.$defs['customer.Closed.1']).toMatchObject({ deprecated: true });
  const grew = ajv.getSchema('urn:trunkline:event:client:Grew:1')!;
  expect([grew({ name: '', parts: [{ name: '', parts: [] }] }), grew({ name: '', parts: [{}] })]).toEqual([
    true,
    false,
  ]);
});

test.each(formats.flatMap((format) => [true, false].map((hasTopics) => ({ format, hasTopics }))))(
  'AsyncAPI: its parser has nothing to say of records in $format, topics: $hasTopics',
  async ({ format, hasTopics }) => {
    const given = made(all, { dialects: asyncapiDialects, stream: hasTopics ? stream : undefined });
    const { document, diagnostics } = await new Parser().parse(JSON.stringify(asyncapiDocument(given, format)));
    expect(diagnostics.map(({ message, path }) => `${path.join('.')}: ${message}`)).toEqual([]);
    const messages = document!.allMessages().all();
    const titles = messages.map((message) => message.title());
    expect(titles).toEqual(expect.arrayContaining(['customer.SignedUp, version 1', 'customer.Moved, version 1']));
    const addresses = document!
      .allChannels()
      .all()
      .map((channel) => channel.address());
    if (hasTopics) expect(addresses).toEqual(expect.arrayContaining(['shop.client.Registered', 'shop.a.b.c']));
    else expect(new Set(addresses)).toEqual(new Set([null]));
    const grew: any = messages
      .find((message) => message.name() === 'Grew')!
      .payload()!
      .json();
    const value = grew.schema ?? grew;
    const data = format === 'cloudevents-binary' ? value : (value.properties.data ?? value.properties.payload);
    expect(Object.keys(data.properties)).toEqual(['name', 'parts']);
    const { items } = data.properties.parts;
    expect((items.allOf?.[0] ?? items).properties).toHaveProperty('name'); // the reference was followed to the payload
  },
);

test('AsyncAPI: one message for each version that may be in a topic; what is unknown is said', () => {
  const given = asyncapiDocument(made([customer], { dialects: asyncapiDialects, stream }), 'trunkline') as any;
  expect(Object.keys(given.channels['shop.client.Registered'].messages)).toEqual([
    'customer.SignedUp.1',
    'customer.SignedUp.2',
  ]);
  expect(given.components.messages['customer.PhoneGiven.1'].description).toMatch(/no JSON Schema here: .*validator/);
  expect(given.components.messages['customer.Closed.1'].description).toBe('It is read no more.');
});

test('references lead to where a schema stands; what has others is not moved', () => {
  const schema = {
    $ref: '#/$defs/a',
    $defs: { a: { enum: ['$ref'], properties: { b: { $ref: '#' }, enum: { $ref: '#/$defs/a' } } } },
  };
  expect(relocated(schema, '#/x')).toEqual({
    $ref: '#/x/$defs/a',
    $defs: { a: { enum: ['$ref'], properties: { b: { $ref: '#/x' }, enum: { $ref: '#/x/$defs/a' } } } },
  });
  for (const held of [
    { items: { $ref: 'other.json' } },
    { items: [{ $ref: '#anchor' }] },
    { properties: { $ref: { type: 'string' } } },
    { properties: { $ref: {} } },
    { const: { $ref: '#' } },
    { enum: [{ deep: { $ref: '#' } }] },
  ]) {
    expect(relocated(held, '#/x')).toBeUndefined();
  }
});

test('Markdown: front matter is one value a line, names stand in code, versions have folders', () => {
  const files = markdownFiles(made(all, { stream }));
  const paths = [...files.keys()];
  expect(new Set(paths.map((path) => path.toLowerCase())).size).toBe(paths.length);
  const at = 'services/shop/events/customer.SignedUp';
  expect(paths.filter((path) => path.startsWith(at))).toEqual([
    `${at}/index.mdx`,
    `${at}/schema.json`,
    `${at}/versioned/1.0.0/index.mdx`,
    `${at}/versioned/1.0.0/schema.json`,
  ]);
  for (const [path, text] of files) {
    expect(path).toMatch(/^(?:[\w-][\w.-]*\/)*(?:index\.mdx|schema\.json|README\.md)$/);
    expect(text).not.toContain('\u2028');
    if (path.endsWith('.json')) JSON.parse(text);
    if (!path.endsWith('.mdx')) continue;
    const [, head, body] = /^---\n(.*?)\n---\n(.*)$/s.exec(text)!;
    for (const line of head!.split('\n')) expect(line).toMatch(/^ *(?:- )?(?:\w+:)? ?(?:true|"(?:[^"\\]|\\.)*")?$/);
    // Outside of code nothing is left that MDX would take for a tag or an expression.
    const prose = body!.replaceAll(/^```json\n.*?\n```$/gms, '').replaceAll(/(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)/g, '');
    expect(prose).not.toMatch(/[<>{}`]/);
  }
  expect(files.get(`${at}/index.mdx`)).toContain('Former names: `Registered`');
});

test('five thousand event types take seconds', { timeout: 120_000 }, () => {
  const given = made([many(5000)], { stream, dialects: asyncapiDialects });
  expect(Object.keys((asyncapiDocument(given, 'trunkline') as any).components.messages)).toHaveLength(10_000);
  expect(Object.keys((jsonSchemaDocument(given) as any).$defs)).toHaveLength(10_000);
  expect(markdownFiles(given).size).toBeGreaterThan(20_000);
});
