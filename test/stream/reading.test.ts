// Reading a partition back: what has been committed, all of it, and nothing else.
import { Producer } from '@platformatic/kafka';
import { expect, test } from 'vitest';
import { connect } from '../../src/stream/kafka/connect.ts';
import type { KafkaSettings } from '../../src/stream/kafka.ts';
import { clients, setUp } from './setup.ts';

test.each(clients)(
  '%s: transactions that were aborted with and without a record, between those that were committed',
  async (client) => {
    const { broker, prefix, stream, admin } = await setUp({ client });
    const topic = `${prefix}.read`;
    await (await admin()).createTopics({ topics: [{ topic, numPartitions: 1 }] });
    const producer = new Producer({
      clientId: 'writer',
      bootstrapBrokers: [broker],
      transactionalId: prefix,
      idempotent: true,
      producerId: -1n,
      producerEpoch: -1,
      retries: 8,
      retryDelay: 20,
    });
    const write = async (value: string | undefined, end: 'commit' | 'abort'): Promise<void> => {
      const transaction = await producer.beginTransaction();
      const message = { topic, partition: 0, key: Buffer.from('k'), value: Buffer.from(value ?? '') };
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
    const reader = await connect(stream.options as KafkaSettings);
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
