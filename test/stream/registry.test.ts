// Schemas against a real registry.
import { describe, expect, test } from 'vitest';
import { sharedRegistry } from '../brokers.ts';
import { Registry } from '../registry.ts';
import { Counter } from '../runtime/aggregates.ts';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { atEnd, clients, keepingLogger, refusalOf, setUp } from './setup.ts';
import { Trunk, TrunkChanged } from './trunks.ts';

describe.each(clients)('%s', (client) => {
  test('an event’s schema is registered under its topic’s subject, and its id goes before the value', async () => {
    const url = await sharedRegistry();
    const { prefix, stream, records } = await setUp({ client, registry: { url } });
    const runtime = await startRuntime({ aggregates: [Trunk], stream });
    await runtime.ref(Trunk, 't').with({ ack: 'published' }).route('a');
    const [record] = await records(1, `${prefix}.trunk`);
    expect(record!.value[0]).toBe(0);
    const id = record!.value.readInt32BE(1);
    expect(JSON.parse(String(record!.value.subarray(5)))).toMatchObject({ data: { trunk: 'a', price: '1.50' } });
    const subject = `${prefix}.trunk-Routed`;
    const registered = await (await fetch(`${url}/subjects/${subject}/versions/latest`)).json();
    expect(registered).toMatchObject({ id, schemaType: 'JSON' });
    const schema = JSON.parse((registered as { schema: string }).schema);
    expect(schema.properties.data).toMatchObject({ required: ['trunk', 'price'] });
    const config = await (await fetch(`${url}/config/${subject}`)).json();
    expect(config).toMatchObject({ compatibilityLevel: 'BACKWARD' });
  });
});

test('an incompatible schema is refused at start, before one event is published under it', async () => {
  const url = await sharedRegistry();
  const { prefix, stream, records } = await setUp({ registry: { url } });
  const dataDir = scratchFolder();
  const runtime = await startRuntime({ dataDir, aggregates: [Trunk], stream });
  await runtime.ref(Trunk, 't').with({ ack: 'published' }).route('a');
  await runtime.close();
  const error = await refusalOf({ dataDir, aggregates: [TrunkChanged], stream });
  expect(error).toMatchObject({ code: 'SchemaRefused', details: { subject: `${prefix}.trunk-Routed` } });
  // The registry's own words: which rule is broken, and where.
  expect(error.details.reason).toMatch(/mandatory|required/i);
  expect(error.message).toContain(error.details.reason);
  expect(await records(1, `${prefix}.trunk`)).toHaveLength(1);
});

test('an event without a schema: at start for those declared', async () => {
  const { stream, streamWith } = await setUp({ registry: { url: await sharedRegistry() } });
  const error = await refusalOf({ stream });
  expect(error).toMatchObject({ code: 'InvalidOptions', details: { option: 'stream.registry.schemas' } });
  const any = { type: 'object' };
  const schemas = { 'counter.Added': any, 'counter.Stamped': any, 'counter.Checked': any };
  const given = streamWith({ registry: { url: await sharedRegistry(), schemas } });
  const runtime = await startRuntime({ stream: given });
  await runtime.ref(Counter, 'c').with({ ack: 'published' }).add(1);
});

test('integration events have schemas of their own, under their public names; one without is set aside', async () => {
  const url = await sharedRegistry();
  const any = { type: 'object' };
  const named = `counter-named.v2`;
  const schemas = {
    'counter.Added': any,
    'counter.Stamped': any,
    'counter.Checked': any,
    [`integration.${named}`]: { type: 'object', required: ['name'], properties: { name: { type: 'string' } } },
  };
  const integration = new URL('./integrations.ts', import.meta.url).href;
  const { prefix, stream, records } = await setUp({ registry: { url, schemas }, integration });
  const { errors, logger } = keepingLogger();
  const runtime = await startRuntime({ stream, logger });
  const counter = runtime.ref(Counter, 'c').with({ metadata: { prefix }, ack: 'published' });
  await counter.label('seven');
  await counter.add(13);
  const [record] = await records(1, `${prefix}.integration.counter`);
  const { id } = (await (await fetch(`${url}/subjects/${named}/versions/latest`)).json()) as { id: number };
  expect(record!.value.readInt32BE(1)).toBe(id);
  expect(JSON.parse(String(record!.value.subarray(5)))).toMatchObject({ type: named, data: { name: 'seven' } });
  const told = await until(
    () => errors,
    ({ length }) => length > 0,
  );
  expect(told).toMatchObject([{ code: 'EventQuarantined', details: { reason: expect.stringContaining('no schema') } }]);
  expect(await records(2)).toHaveLength(2);
});

test('a registry that is away at start delays nobody; one that goes away later is not missed', async () => {
  const registry = await Registry.away();
  atEnd(() => registry.stop());
  const { prefix, stream, records } = await setUp({ registry: { url: registry.url } });
  const { errors, logger } = keepingLogger();
  const runtime = await startRuntime({ aggregates: [Trunk], stream, logger });
  await runtime.ref(Trunk, 't').with({ ack: 'stored' }).route('a');
  await until(
    () => errors.map(({ code }) => code),
    (codes) => codes.includes('RegistryUnavailable'),
  );
  await registry.restart();
  await runtime.reached('published');
  await registry.stop();
  await runtime.ref(Trunk, 't').with({ ack: 'published' }).route('b');
  expect(await records(2, `${prefix}.trunk`)).toHaveLength(2);
});
