// Events on their way to Kafka, against a real broker, by both clients.
import { describe, expect, test } from 'vitest';
import { isError } from '../../src/index.ts';
import { Cart } from '../evolution/cart.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { clients, keepingLogger, refusalOf, setUp } from './setup.ts';
import { Trunk } from './trunks.ts';

describe.each(clients)('%s', (client) => {
  test('every event once, in order per aggregate, over restarts; a command can wait for it', async () => {
    const { stream, records } = await setUp({ client });
    const dataDir = scratchFolder();
    for (let run = 0; run < 2; run++) {
      const runtime = await startRuntime({ dataDir, stream });
      await Promise.all(Array.from({ length: 30 }, (_, i) => runtime.ref(Counter, `c${i % 7}`).addMany(3)));
      const receipt = await runtime.ref(Counter, 'last').with({ ack: 'published' }).add(1);
      expect(runtime.status().published).toBeGreaterThanOrEqual(receipt.position);
      await receipt.reached('published');
      await runtime.reached('published');
      await runtime.close();
    }
    const found = await records(182);
    expect(found).toHaveLength(182);
    const versions = new Map<string, number>();
    const partitions = new Map<string, number>();
    for (const { key, partition, headers } of found) {
      expect(Number(headers['aggregate-version'])).toBe((versions.get(key) ?? 0) + 1);
      versions.set(key, Number(headers['aggregate-version']));
      expect(partitions.get(key) ?? partition).toBe(partition);
      partitions.set(key, partition);
    }
  });

  test('key, headers and value: who, what, when, and because of what', async () => {
    const { stream, records } = await setUp({ client });
    const runtime = await startRuntime({ stream });
    const metadata = { correlationId: 'k-1', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' };
    const sent = runtime.ref(Counter, 'sender').with({ metadata, ack: 'published' });
    const { events } = await sent.sendOther('rüssel', 2);
    await runtime.reached('published');
    const found = await until(
      () => records(3),
      ({ length }) => length === 3,
    );
    const [cause, effect] = ['sender', 'rüssel'].map((id) => found.find(({ key }) => key === id)!);
    expect(cause!.headers).toMatchObject({
      'event-id': events[0]!.id,
      'event-type': 'Added',
      'aggregate-type': 'counter',
      'aggregate-version': '1',
      'schema-version': '1',
      'content-type': 'application/json',
      'correlation-id': 'k-1',
      traceparent: metadata.traceparent,
    });
    expect(effect!.headers).toMatchObject({ 'correlation-id': 'k-1', 'causation-id': events[0]!.id });
    expect(new Date(cause!.headers['occurred-at']!).getTime()).toBeGreaterThan(Date.now() - 600_000);
    const stored = await runtime.store.getByAggregate(Counter, 'sender');
    expect(JSON.parse(String(cause!.value))).toEqual(JSON.parse(JSON.stringify(stored[0])));
  });

  test('more than a topic takes at once goes in several requests, compressed or not', async () => {
    const { stream, records } = await setUp({
      client,
      compression: 'gzip',
      topics: { partitions: 1, config: { 'max.message.bytes': '20000' } },
    });
    const runtime = await startRuntime({ stream });
    const label = 'x'.repeat(4000);
    await Promise.all(Array.from({ length: 40 }, (_, i) => runtime.ref(Counter, `c${i}`).label(label)));
    await runtime.reached('published');
    const found = await records(40);
    expect(found).toHaveLength(40);
    for (const { value } of found) expect(JSON.parse(String(value)).data).toEqual({ label });
  });

  test('an event that its topic does not take is set aside, and the rest goes on', async () => {
    const { prefix, stream, records } = await setUp({ client, topics: { config: { 'max.message.bytes': '2000' } } });
    const { errors, logger } = keepingLogger();
    const runtime = await startRuntime({ stream, logger });
    const counter = runtime.ref(Counter, 'c');
    await counter.label('first');
    const { position } = await counter.label('x'.repeat(3000));
    await counter.with({ ack: 'published' }).label('last');
    const told = await until(
      () => errors,
      ({ length }) => length > 0,
    );
    expect(told).toMatchObject([
      { code: 'EventQuarantined', details: { position, aggregateId: 'c', eventType: 'Labelled' } },
    ]);
    const found = await records(2);
    expect(found.map(({ headers }) => headers['aggregate-version'])).toEqual(['1', '3']);
    const [aside] = await records(1, `${prefix}.own.quarantine`);
    expect(JSON.parse(String(aside!.value))).toMatchObject({ position, aggregateId: 'c' });
  });

  test('a checkpoint that is gone stops the stream before anything is published twice, until it is told where to go on', async () => {
    const { prefix, stream, streamWith, records, admin } = await setUp({ client });
    const dataDir = scratchFolder();
    const runtime = await startRuntime({ dataDir, stream });
    await runtime.ref(Counter, 'c').with({ ack: 'published' }).addMany(5);
    await runtime.close();
    await (await admin()).deleteTopics({ topics: [`${prefix}.own.checkpoints`] });
    const error = await refusalOf({ dataDir, stream });
    expect(error).toMatchObject({ code: 'CheckpointMissing', details: { topic: `${prefix}.own.checkpoints` } });
    expect(error.message).toContain('resumeAfter');
    const resumed = await startRuntime({ dataDir, stream: streamWith({ resumeAfter: 5 }) });
    await resumed.ref(Counter, 'c').with({ ack: 'published' }).add(1);
    const found = await records(6);
    expect(found.map(({ headers }) => headers['aggregate-version'])).toEqual(['1', '2', '3', '4', '5', '6']);
    // An option that was left behind would publish the sixth again.
    await resumed.close();
    await (await admin()).deleteTopics({ topics: [`${prefix}.own.checkpoints`] });
    const again = await refusalOf({ dataDir, stream: streamWith({ resumeAfter: 5 }) });
    expect(again).toMatchObject({ code: 'CheckpointMissing' });
    expect(again.message).toContain('position 6');
  });

  test('a broker that is not there delays nobody else, and is reported; what waited is published when it comes', async () => {
    const { stream, records } = await setUp({ client });
    const dataDir = scratchFolder();
    const { errors, logger } = keepingLogger();
    const away = await setUp({ client, connectTimeoutMs: 500, requestTimeoutMs: 500 }, '127.0.0.1:9');
    const runtime = await startRuntime({ dataDir, stream: away.stream, logger });
    const receipt = await runtime.ref(Counter, 'c').with({ ack: 'stored' }).addMany(5);
    expect(errors[0]).toMatchObject({ code: 'StreamUnavailable' });
    const waiting = errorOf(receipt.reached('published'));
    await runtime.close();
    expect((await waiting).code).toMatch(/StreamUnavailable|RuntimeClosed/);
    const later = await startRuntime({ dataDir, stream });
    await later.reached('published');
    expect(await records(5)).toHaveLength(5);
  });
});

test('publishing is turned off and on while running, by aggregate and by event', async () => {
  const { stream, records } = await setUp({ publishing: { 'counter.Labelled': false } });
  const runtime = await startRuntime({ stream });
  const counter = runtime.ref(Counter, 'c').with({ ack: 'published' });
  await counter.label('off from the start');
  await counter.add(2);
  await runtime.setPublishing({ counter: false });
  await counter.add(3);
  await runtime.setPublishing({ 'counter.Labelled': true });
  await counter.label('on');
  await counter.add(5);
  await runtime.setPublishing({ counter: true });
  await counter.add(6);
  const found = await records(3);
  expect(found.map(({ headers }) => headers['aggregate-version'])).toEqual(['2', '4', '6']);
  for (const wrong of [{ counter: 1 }, undefined]) {
    expect(await errorOf(runtime.setPublishing(wrong as never))).toMatchObject({ code: 'InvalidOptions' });
  }
  const misspelt = runtime.setPublishing({ 'counter.Labeled': false });
  expect(await errorOf(misspelt)).toMatchObject({ code: 'UnknownEventType' });
});

test('integration events are mapped, split, merged and left out, in the transaction of their causes', async () => {
  const { prefix, stream, records } = await setUp({ integration: new URL('./integrations.ts', import.meta.url).href });
  const { errors, logger } = keepingLogger();
  const runtime = await startRuntime({ stream, logger });
  const counter = runtime.ref(Counter, 'c').with({ metadata: { prefix, correlationId: 'k' } });
  await counter.add(1);
  const { events } = await counter.add(13);
  await counter.label('seven');
  await counter.label('broken');
  await counter.addMany(3);
  await runtime.reached('published');
  const found = await records(4, `${prefix}.integration.counter`, `${prefix}.luck`);
  const values = found.map(({ value }) => JSON.parse(String(value)));
  const own = values.filter(({ data }) => !data.again);
  expect(own.map(({ type, schemaVersion, data }) => ({ type, schemaVersion, data }))).toEqual([
    { type: 'counter-bad-luck.v1', schemaVersion: 1, data: { of: 'c' } },
    { type: 'counter-named.v2', schemaVersion: 2, data: { name: 'seven' } },
    { type: 'counter-burst.v1', schemaVersion: 1, data: { count: 3 } },
  ]);
  expect(own[0].metadata).toMatchObject({ correlationId: 'k', causationId: events[0]!.id, source: 'trunkline' });
  expect(found.find(({ topic }) => topic.endsWith('.luck'))).toMatchObject({ key: 'luck' });
  expect(new Set(values.map(({ id }) => id)).size).toBe(values.length);
  const told = await until(
    () => errors,
    ({ length }) => length > 0,
  );
  expect(told).toMatchObject([{ code: 'EventQuarantined', details: { eventType: 'Labelled' } }]);
  expect(await records(7)).toHaveLength(7); // the domain events themselves, all of them
});

test('either kind can be published alone, domain events or integration events', async () => {
  const { prefix, stream, records } = await setUp({
    integration: new URL('./integrations.ts', import.meta.url).href,
    publishing: { counter: false },
  });
  const runtime = await startRuntime({ stream });
  const counter = runtime.ref(Counter, 'c').with({ ack: 'published' });
  await counter.label('inside only');
  await runtime.setPublishing({ 'integration.counter-named.v2': false, counter: true });
  await counter.label('domain event only');
  const topics = [`${prefix}.integration.counter`, `${prefix}.counter`];
  const found = await records(2, ...topics);
  expect(found.map(({ topic, headers }) => [topic, headers['aggregate-version']]).sort()).toEqual([
    [topics[1], '2'],
    [topics[0], '1'],
  ]);
});

test('topics and records of a renamed aggregate keep the name that consumers know; mappings see the one of today', async () => {
  const { prefix, stream, records } = await setUp({
    integration: new URL('./cart-integrations.ts', import.meta.url).href,
    publishing: { trolley: true },
  });
  const runtime = await startRuntime({ aggregates: [Cart], stream });
  await runtime.ref(Cart, 'c').with({ ack: 'published' }).add('shoe');
  const found = await records(2, `${prefix}.integration.basket`, `${prefix}.basket`);
  expect(found.map(({ headers }) => headers['aggregate-type'])).toEqual(['basket', 'basket']);
  expect(JSON.parse(String(found.find(({ topic }) => topic.includes('integration'))!.value))).toMatchObject({
    data: { sku: 'shoe', aggregateType: 'cart' },
  });
});

test('a topic that cannot be told, or that Kafka would not take, sets its event aside', async () => {
  const { prefix, streamWith, records } = await setUp();
  for (const topics of [
    { template: '{prefix}.{eventType}' },
    { module: new URL('./naming.ts', import.meta.url).href },
  ]) {
    const { errors, logger } = keepingLogger();
    const runtime = await startRuntime({ aggregates: [Trunk], stream: streamWith({ topics }), logger });
    const event = { aggregateType: 'price', aggregateId: 'p', data: {} };
    await runtime.publisher.publish({ ...event, type: 'Unnameable price' });
    await runtime.publisher.publish({ ...event, type: 'Changed' });
    await runtime.reached('published');
    const told = await until(
      () => errors.filter(({ code }) => code === 'EventQuarantined'),
      ({ length }) => length > 0,
    );
    expect(told).toMatchObject([
      { details: { eventType: 'Unnameable price', reason: expect.stringMatching(/topic/) } },
    ]);
  }
  expect(await records(1, `${prefix}.Changed`)).toHaveLength(1);
  expect(await records(2, `${prefix}.own.quarantine`)).toHaveLength(2);
});

test('topics are created as configured; what differs is reported and left alone', async () => {
  const topics = { retentionMs: 3_600_000, cleanupPolicy: 'compact,delete' as const, partitions: 2 };
  const { prefix, stream, streamWith, admin } = await setUp({ topics });
  const dataDir = scratchFolder();
  await (await startRuntime({ dataDir, stream })).close();
  const client = await admin();
  const look = async () => {
    const { resources } = await client.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: 2, name: `${prefix}.counter` }],
    });
    const config = Object.fromEntries(
      resources[0]!.configEntries.map(({ configName, configValue }) => [configName, configValue]),
    );
    const metadata = await client.fetchTopicMetadata({ topics: [`${prefix}.counter`] });
    return {
      partitions: metadata.topics[0]!.partitions.length,
      'retention.ms': config['retention.ms'],
      'cleanup.policy': config['cleanup.policy'],
    };
  };
  const asMade = { partitions: 2, 'retention.ms': '3600000', 'cleanup.policy': 'compact,delete' };
  expect(await look()).toEqual(asMade);
  const { errors, logger } = keepingLogger();
  const changed = streamWith({ topics: { ...topics, partitions: 4, retentionMs: 7_200_000 } });
  await (await startRuntime({ dataDir, stream: changed, logger })).close();
  expect(errors).toMatchObject([
    { code: 'TopicDrift', details: { what: 'partitions', wanted: '4', found: '2' } },
    { code: 'TopicDrift', details: { what: 'retention.ms', wanted: '7200000', found: '3600000' } },
  ]);
  expect(await look()).toEqual(asMade);
});

test('a topic for each event type, in the way of the third seed; or named by a function', async () => {
  const { prefix, stream, records } = await setUp({
    format: 'snake-case',
    topics: { template: '{prefix}.{aggregate_type}.{event_type}' },
  });
  const runtime = await startRuntime({ stream });
  await runtime.ref(Counter, 'c').add(1);
  await runtime.ref(Counter, 'c').with({ ack: 'published' }).label('x');
  const found = await records(2, `${prefix}.counter.Added`, `${prefix}.counter.Labelled`);
  expect(found.map(({ topic }) => topic).sort()).toEqual([`${prefix}.counter.Added`, `${prefix}.counter.Labelled`]);
  const named = await setUp({ topics: { module: new URL('./naming.ts', import.meta.url).href } });
  const other = await startRuntime({ stream: named.stream });
  await other.ref(Counter, 'c').with({ ack: 'published' }).add(1);
  expect((await named.records(1, 'named-counter-5'))[0]).toMatchObject({ topic: 'named-counter-5', key: 'c' });
});

test('a topic name that Kafka would not take is refused at start', async () => {
  for (const topics of [{ prefix: 'a b' }, { template: 'x'.repeat(250) }, { prefix: 'ü' }]) {
    const start = async (): Promise<unknown> => startRuntime({ stream: (await setUp({ topics })).stream });
    expect(await errorOf(start())).toMatchObject({
      code: 'InvalidOptions',
      details: { option: expect.stringMatching(/^stream\.topics/) },
    });
  }
});

test('without a stream, waiting for `published` is a typed error', async () => {
  const runtime = await startRuntime();
  const counter = runtime.ref(Counter, 'c');
  expect(await errorOf(counter.with({ ack: 'published' }).add(1))).toMatchObject({ code: 'InvalidOptions' });
  const receipt = await counter.add(1);
  for (const error of [await errorOf(receipt.reached('published')), await errorOf(runtime.reached('published'))]) {
    expect(isError(error, 'InvalidOptions')).toBe(true);
  }
  expect(await errorOf(runtime.setPublishing({ counter: false }))).toMatchObject({ code: 'InvalidOptions' });
});

test('a backlog over its limit is told once', async () => {
  const { stream } = await setUp({ backlogLimit: 10, connectTimeoutMs: 500 }, '127.0.0.1:9');
  const { errors, logger } = keepingLogger();
  const runtime = await startRuntime({ stream, logger });
  for (let i = 0; i < 5; i++) await runtime.ref(Counter, 'c').with({ ack: 'stored' }).addMany(5);
  await until(
    () => errors.filter(({ code }) => code === 'StreamBehind'),
    (behind) => behind.length > 0,
  );
  await runtime.ref(Counter, 'c').with({ ack: 'stored' }).addMany(5);
  expect(errors.filter(({ code }) => code === 'StreamBehind')).toHaveLength(1);
});
