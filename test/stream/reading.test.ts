// Reading a partition back: what has been committed, all of it, and nothing else.
import { Producer } from '@platformatic/kafka';
import { expect, test } from 'vitest';
import { connect } from '../../src/adapters/kafka/connect.ts';
import type { KafkaSettings } from '../../src/adapters/kafka/kafka-options.ts';
import { revealed } from '../../src/base/hidden.ts';
import { until } from '../runtime/scratch.ts';
import { clients, setUp } from './setup.ts';

const producerOf = (broker: string, transactionalId: string): Producer =>
  new Producer({
    clientId: 'writer',
    bootstrapBrokers: [broker],
    transactionalId,
    idempotent: true,
    producerId: -1n,
    producerEpoch: -1,
    retries: 8,
    retryDelay: 20,
  });

const messageOf = (topic: string, value: string) => ({
  topic,
  partition: 0,
  key: Buffer.from('k'),
  value: Buffer.from(value),
});

/** A topic that is new may not be known at once. */
async function whenKnown(producer: Producer, topic: string): Promise<void> {
  await until(
    () =>
      producer.metadata({ topics: [topic], forceUpdate: true }).then(
        () => true,
        () => false,
      ),
    (isKnown) => isKnown,
  );
}

test.each(clients)(
  '%s: transactions that were aborted with and without a record, between those that were committed',
  async (client) => {
    const { broker, prefix, stream, admin } = await setUp({ client });
    const topic = `${prefix}.read`;
    await (await admin()).createTopics({ topics: [{ topic, numPartitions: 1 }] });
    const producer = producerOf(broker, prefix);
    await whenKnown(producer, topic);
    const write = async (value: string | undefined, end: 'commit' | 'abort'): Promise<void> => {
      const transaction = await producer.beginTransaction();
      const message = messageOf(topic, value ?? '');
      if (value === undefined) await transaction.addPartitions(await producer.metadata({ topics: [topic] }), [message]);
      else await transaction.send({ messages: [message] });
      await transaction[end]();
    };
    await write('1', 'commit');
    await write('no', 'abort');
    await write('2', 'commit');
    await write('never', 'abort');
    await write('3', 'commit');
    await write(undefined, 'abort');
    await write('4', 'commit');
    await producer.close();
    const reader = await connect(revealed(stream.options) as KafkaSettings);
    for (const [committedOnly, expected] of [
      [true, ['1', '2', '3', '4']],
      [false, ['1', 'no', '2', 'never', '3', '4']],
    ] as const) {
      const found: string[] = [];
      const visit = ({ value }: { value: string }): boolean => found.push(value) > 0 && value === '4';
      await reader.read({ topic, partition: 0, from: 0n, committedOnly, visit });
      expect(found).toEqual(expected);
    }
    await reader.close();
  },
);

test.each(clients)('%s: transactions of several producers that overlap, and one that nobody ends', async (client) => {
  const { broker, prefix, stream, admin } = await setUp({ client });
  const topic = `${prefix}.read`;
  await (await admin()).createTopics({ topics: [{ topic, numPartitions: 1 }] });
  const producers = Array.from({ length: 4 }, (_, i) => producerOf(broker, `${prefix}-${i}`));
  await whenKnown(producers[0]!, topic);
  const begin = async (producer: Producer, value: string) => {
    const transaction = await producer.beginTransaction();
    await transaction.send({ messages: [messageOf(topic, value)] });
    return transaction;
  };
  const [one, two, three, four] = producers as [Producer, Producer, Producer, Producer];
  const open = await begin(four, 'open');
  // The one that begins first is aborted last: a broker lists aborted transactions by their ends.
  const outer = await begin(one, 'no');
  const inner = await begin(two, 'never');
  const between = await begin(three, '1');
  await inner.abort();
  await between.commit();
  await outer.abort();
  await (await begin(one, '2')).commit();
  const reader = await connect(revealed(stream.options) as KafkaSettings);
  const found: string[] = [];
  const visit = ({ value }: { value: string }): boolean => found.push(value) > 0 && value === '2';
  await reader.read({ topic, partition: 0, from: 0n, committedOnly: true, visit });
  expect(found).toEqual(['1', '2']);
  await reader.close();
  await open.abort();
  for (const producer of producers) await producer.close();
});
