// Events that cannot be published, by whatever it is about them: each is set aside, counted and named, and the rest goes on,
// also over a restart. Against a real broker, by both clients where it is they that say so.
import { describe, expect, test } from 'vitest';
import { isStorable } from '../../src/base/tame.ts';
import { isError, postgres } from '../../src/index.ts';
import { administer, migratedDatabase } from '../postgres.ts';
import { Counter } from '../runtime/aggregates.ts';
import { errorOf, scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { nonsenseLabels } from './poison-integrations.ts';
import { clients, keepingLogger, setUp } from './setup.ts';

describe.each(clients)('%s', (client) => {
  test('topics that cannot be: no legal name, one that collides with another, one of our own', async () => {
    const { prefix, streamWith, records } = await setUp({ client });
    const { errors, logger } = keepingLogger();
    const stream = streamWith({ topics: { internalPrefix: `${prefix}.own` } });
    const dataDir = scratchFolder();
    const runtime = await startRuntime({ dataDir, stream, logger });
    const types = ['back.office', 'no topic at all', 'back_office', 'own.checkpoints', 'other'];
    for (const aggregateType of types) {
      await runtime.publisher.publish({ aggregateType, aggregateId: 'x', type: 'Happened', data: {} });
      await runtime.reached('published');
    }
    await until(
      () => errors.length,
      (count) => count >= 3,
    );
    expect(errors.map(({ details }) => details.aggregateType)).toEqual([
      'no topic at all',
      'back_office',
      'own.checkpoints',
    ]);
    const found = await records(2, `${prefix}.back.office`, `${prefix}.other`);
    expect(found.map(({ key }) => key)).toEqual(['x', 'x']);
    await runtime.close();
    const again = await startRuntime({ dataDir, stream, logger });
    await again.ref(Counter, 'c').with({ ack: 'published' }).add(1);
  });

  test('so many at once that their names are more than a request takes', async () => {
    const { prefix, stream, records } = await setUp({ client, topics: { config: { 'max.message.bytes': '2000' } } });
    const { logger } = keepingLogger();
    const runtime = await startRuntime({ stream, logger });
    const label = 'x'.repeat(3000);
    const id = 'i'.repeat(250);
    const count = 1500; // some 800 KB of names, in one batch or a few
    await Promise.all(Array.from({ length: count }, (_, i) => runtime.ref(Counter, `${id}${i}`).label(label)));
    await runtime.ref(Counter, 'c').with({ ack: 'published' }).add(1);
    await until(
      () => runtime.status().setAside[stream.name],
      (found) => found === count,
    );
    expect(await records(count, `${prefix}.own.quarantine`)).toHaveLength(count);
  });

  // A record's time is that of sending: no event is to blame. (Of its own markers a broker asks what it asks of records: with
  // a bound on how old they may be, of a few milliseconds, it never ends the transaction. None is too new.)
  test('a clock that the broker takes for wrong holds the stream up, and no event is set aside', async () => {
    const integration = new URL('./fast-clock.ts', import.meta.url).href;
    const { prefix, stream, records, admin } = await setUp({ client, integration, topics: { partitions: 1 } });
    const { errors, logger } = keepingLogger();
    const runtime = await startRuntime({ stream, logger });
    await runtime.ref(Counter, 'c').with({ ack: 'published' }).label('first');
    const kafkaAdmin = await admin();
    const allow = (value: string): Promise<unknown> =>
      kafkaAdmin.alterConfigs({
        validateOnly: false,
        resources: [
          {
            type: 2,
            name: `${prefix}.counter`,
            configEntries: [{ name: 'message.timestamp.after.max.ms', value }],
          },
        ],
      });
    await allow('1000');
    let written = 1;
    // It takes the broker a while to mind it: until then each is published.
    while (errors.length === 0) {
      const { position } = await runtime.ref(Counter, `c${written}`).label(`late ${written++}`);
      await until(() => errors.length > 0 || runtime.status().published >= position, Boolean);
    }
    expect(errors[0]).toMatchObject({ code: 'SinkFailed', message: expect.stringMatching(/clock: .*set the clocks/) });
    await allow('3600000');
    await runtime.reached('published');
    expect(runtime.status().setAside[stream.name] ?? 0).toBe(0);
    expect(await records(written)).toHaveLength(written);
  });

  test('a topic that gets more partitions keeps its keys where they are', async () => {
    const { prefix, stream, streamWith, records, admin } = await setUp({ client });
    const dataDir = scratchFolder();
    const publish = async (with_: typeof stream): Promise<void> => {
      const { errors, logger } = keepingLogger();
      const runtime = await startRuntime({ dataDir, stream: with_, logger });
      await Promise.all(Array.from({ length: 20 }, (_, i) => runtime.ref(Counter, `c${i}`).add(1)));
      await runtime.reached('published');
      await runtime.close();
      told.push(...errors);
    };
    const told: { code: string; details: any }[] = [];
    await publish(stream);
    await (await admin()).createPartitions({ topicPartitions: [{ topic: `${prefix}.counter`, count: 7 }] });
    await publish(streamWith({ topics: { partitions: 7 } }));
    const places = new Map<string, Set<number>>();
    for (const { key, partition } of await records(40)) places.set(key, (places.get(key) ?? new Set()).add(partition));
    expect(places.size).toBe(20);
    for (const [, partitions] of places) expect(partitions.size).toBe(1);
    expect(told).toMatchObject([{ code: 'TopicDrift', details: { what: 'partitions', found: '7' } }]);
  });
});

// What decides here does not see the client: one of them for each.
test('what a mapping makes of an event', async () => {
  const integration = new URL('./poison-integrations.ts', import.meta.url).href;
  const { prefix, stream, records } = await setUp({ client: clients[1]!, integration });
  const { errors, logger } = keepingLogger();
  const runtime = await startRuntime({ stream, logger });
  await runtime.ref(Counter, 'c').label('first');
  const positions: number[] = [];
  for (const label of nonsenseLabels) positions.push((await runtime.ref(Counter, 'c').label(label)).position);
  await runtime.ref(Counter, 'c').with({ ack: 'published' }).label('last');
  await until(
    () => errors.length,
    (count) => count >= nonsenseLabels.length,
  );
  expect(errors.map(({ code, details }) => [code, details.position])).toEqual(
    positions.map((position) => ['EventQuarantined', position]),
  );
  expect(runtime.status().setAside).toEqual({ [stream.name]: nonsenseLabels.length });
  // The domain events are all there: it is their public form that is not.
  expect(await records(nonsenseLabels.length + 2)).toHaveLength(nonsenseLabels.length + 2);
  expect(await records(2, `${prefix}.integration.counter`)).toHaveLength(2);
  const aside = await records(nonsenseLabels.length, `${prefix}.own.quarantine`);
  for (const { value } of aside) {
    expect(value.length).toBeLessThan(4096);
    expect(isStorable(JSON.parse(String(value)).reason)).toBe(true);
  }
});

test('types that are made up without end take no more topics than the limit; the rest goes on', async () => {
  const topics = { template: '{prefix}.{aggregateType}.{eventType}', createLimit: 2 };
  const { prefix, stream, records, admin } = await setUp({ client: clients[0]!, topics });
  const { errors, logger } = keepingLogger();
  const runtime = await startRuntime({ stream, logger });
  const made = { aggregateId: 'x', data: {} };
  await (await admin()).createTopics({ topics: [{ topic: `${prefix}.stranger.Known`, numPartitions: 3 }] });
  await runtime.publisher.publishBatch(
    ['A', 'B', 'C', 'Known', 'D', 'A'].map((type) => ({ ...made, aggregateType: 'stranger', type })),
  );
  await runtime.publisher.publish({ ...made, aggregateType: 'another', type: 'E' });
  await runtime.ref(Counter, 'c').with({ ack: 'published' }).add(1);
  await until(
    () => runtime.status().setAside[stream.name],
    (count) => count === 3,
  );
  expect(errors.map(({ code, details }) => [code, details.eventType])).toEqual(
    ['C', 'D', 'E'].map((type) => ['EventQuarantined', type]),
  );
  expect(errors[0]!.message).toMatch(
    /topic .*\.stranger\.C does not exist, and 2 \(topics\.createLimit\) were created/,
  );
  const topicsMade = ['A', 'B', 'Known'].map((type) => `${prefix}.stranger.${type}`);
  expect(await records(4, ...topicsMade)).toHaveLength(4);
  const found = (await (await admin()).listTopics()).filter((topic) => topic.startsWith(`${prefix}.`));
  expect(found.filter((topic) => /\.(stranger|another)\./.test(topic)).sort()).toEqual(topicsMade);
});

test('declared types whose topics collide are refused at the start', async () => {
  const { errors, logger } = keepingLogger();
  const { streamWith } = await setUp();
  const { Colliding, Cased } = await import('./colliding.ts');
  for (const aggregates of [
    [Colliding.dotted, Colliding.underlined],
    [Cased.lower, Cased.upper],
  ]) {
    const error = await errorOf(startRuntime({ aggregates, stream: streamWith({}), logger }));
    expect(isError(error, 'InvalidOptions') && error.details).toMatchObject({
      option: 'stream.topics',
      reason: expect.stringContaining('collides with'),
    });
  }
  expect(errors).toEqual([]);
});

const doors = {
  raise_event: (type: string) => `select trunkline.raise_event('stranger', '${type}', '${type}', '{}')`,
  save_event: (type: string) =>
    `select trunkline.save_event(gen_random_uuid(), 'stranger', '${type}', '${type}', 1, now(), '{}', null, null)`,
};

test.each(Object.entries(doors))(
  'a role that makes up types by %s takes no room of the service’s own, nor the other way',
  async (_, sql) => {
    const topics = { template: '{prefix}.{aggregateType}.{eventType}', createLimit: 2 };
    const { prefix, stream, admin } = await setUp({ client: clients[0]!, topics });
    const { errors, logger } = keepingLogger();
    const url = await migratedDatabase();
    const runtime = await startRuntime({ stream, logger, store: postgres({ connectionString: url }) });
    const raise = (type: string): Promise<unknown> => administer(url, sql(type));
    const publish = (aggregateType: string, type: string): Promise<unknown> =>
      runtime.publisher.publish({ aggregateType, aggregateId: type, type, data: {} });
    for (const type of ['A', 'B', 'C']) await raise(type);
    const setAside = (expected: number): Promise<unknown> =>
      until(
        () => runtime.status().setAside[stream.name],
        (count) => count === expected,
      );
    await setAside(1);
    for (const type of ['D', 'E', 'F']) await publish('stock', type);
    await setAside(2);
    await raise('D');
    await setAside(3);
    await runtime.reached('published');
    expect(errors.map(({ details }) => details.eventType)).toEqual(['C', 'F', 'D']);
    expect(errors.map(({ message }) => message.includes('for events that came by the outbox'))).toEqual([
      true,
      false,
      true,
    ]);
    const found = (await (await admin()).listTopics()).filter((topic) => topic.startsWith(`${prefix}.`));
    expect(found.filter((topic) => /\.(stranger|stock)\./.test(topic)).sort()).toEqual(
      ['stock.D', 'stock.E', 'stranger.A', 'stranger.B'].map((topic) => `${prefix}.${topic}`),
    );
  },
);
