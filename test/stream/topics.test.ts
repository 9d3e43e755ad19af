// Topics that are not as we know them, or have changed under way.
import { describe, expect, test } from 'vitest';
import { connect } from '../../src/adapters/kafka/connect.ts';
import { resolveKafka } from '../../src/adapters/kafka/settings.ts';
import { StreamFault } from '../../src/adapters/kafka/stream.ts';
import { Counter } from '../runtime/aggregates.ts';
import { scratchFolder, startRuntime, until } from '../runtime/scratch.ts';
import { audit, nothing } from './audit.ts';
import { clients, keepingLogger, setUp } from './setup.ts';

const topicResource = 2;

describe.each(clients)('%s', (client) => {
  test('fewer partitions than asked for: told once, and all is published in order', async () => {
    const { prefix, stream, records, admin } = await setUp({ client, topics: { partitions: 3 } });
    const topic = `${prefix}.counter`;
    const administrator = await admin();
    // Whether all brokers know it the client does not wait for patiently.
    const create = (numPartitions: number): Promise<unknown> =>
      administrator.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: false });
    const isThere = (count: number): Promise<unknown> =>
      until(
        () => administrator.fetchTopicOffsets(topic).catch(() => []),
        (partitions) => partitions.length === count && partitions[0]!.high === '0',
      );
    await create(2);
    await isThere(2);
    const { errors, logger } = keepingLogger();
    const runtime = await startRuntime({ stream, logger });
    const send = () => Promise.all(Array.from({ length: 9 }, (_, i) => runtime.ref(Counter, `c${i}`).addMany(2)));
    await send();
    await runtime.reached('published');
    expect(audit(await records(18), [])).toEqual(nothing);
    // Made anew by somebody, with fewer still: what was there is gone, and the rest finds its way.
    await administrator.deleteTopics({ topics: [topic] });
    await create(1);
    // Until the broker has done both, it takes records for the old topic, and they go with it.
    await isThere(1);
    await send();
    await runtime.reached('published');
    const found = await records(18);
    expect(found).toHaveLength(18);
    expect(new Set(found.map(({ partition }) => partition))).toEqual(new Set([0]));
    const drifts = errors.filter(({ code }) => code === 'TopicDrift').map(({ details }) => details.found);
    expect(drifts).toEqual(['2', '1']);
  });

  test('no transaction leaves a record out whose partition is gone: it fails, or puts it elsewhere', async () => {
    const { broker, prefix, records, admin } = await setUp({ client });
    const topic = `${prefix}.counter`;
    await (await admin()).createTopics({ topics: [{ topic, numPartitions: 1 }] });
    const connected = await connect(resolveKafka({ brokers: [broker], client }));
    const record = (partition: number) => ({ topic, partition, key: 'k', value: Buffer.from('{}'), headers: {} });
    const producer = await connected.producer(prefix);
    const failure = await producer.transaction([[record(0), record(5)]]).catch((thrown: unknown) => thrown);
    producer.abandon();
    if (failure) expect(failure).toBeInstanceOf(StreamFault);
    const next = await connected.producer(prefix);
    await next.transaction([[record(0)]]);
    const count = failure ? 1 : 3;
    expect(await records(count)).toHaveLength(count);
    next.abandon();
    await connected.close();
  });

  test('a limit that was lowered under way: what is too large is set aside, and the rest goes on', async () => {
    const { prefix, stream, records, admin } = await setUp({ client });
    const { errors, logger } = keepingLogger();
    const runtime = await startRuntime({ stream, logger });
    const counter = runtime.ref(Counter, 'c');
    await counter.with({ ack: 'published' }).label('x'.repeat(3000));
    await (await admin()).alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: topicResource,
          name: `${prefix}.counter`,
          configEntries: [{ name: 'max.message.bytes', value: '2000' }],
        },
      ],
    });
    const { position } = await counter.label('x'.repeat(3000));
    await counter.with({ ack: 'published' }).label('last');
    const quarantined = await until(
      () => errors.filter(({ code }) => code === 'EventQuarantined'),
      ({ length }) => length > 0,
    );
    expect(quarantined).toMatchObject([{ details: { position } }]);
    expect((await records(2)).map(({ headers }) => headers['aggregate-version'])).toEqual(['1', '3']);
  });

  test('topics that others make: events wait until they have', async () => {
    const { prefix, stream, records, admin } = await setUp({ client, topics: { create: false } });
    const { errors, logger } = keepingLogger();
    const dataDir = scratchFolder();
    const runtime = await startRuntime({ dataDir, stream, logger });
    await runtime.ref(Counter, 'c').with({ ack: 'stored' }).addMany(2);
    expect(errors.map(({ code }) => code)).toContain('TopicDrift');
    await (await admin()).createTopics({ topics: [{ topic: `${prefix}.counter`, numPartitions: 3 }] });
    await runtime.reached('published');
    expect(await records(2)).toHaveLength(2);
  });
});
