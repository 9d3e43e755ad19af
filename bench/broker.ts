// The broker of the suites about Kafka: one of their own, or TRUNKLINE_TEST_KAFKA, which others may use beside them.
import { randomUUID } from 'node:crypto';
import { Kafka } from '../test/kafka.ts';

/** `topics`: names that no other run uses there. */
export async function withBroker<T>(
  work: (address: string, topics: { prefix: string; internalPrefix: string }) => Promise<T>,
): Promise<T> {
  const given = process.env.TRUNKLINE_TEST_KAFKA;
  const own = given === undefined ? await Kafka.start() : undefined;
  const prefix = `bench-${randomUUID()}`;
  try {
    return await work(given ?? own!.address, { prefix, internalPrefix: `${prefix}.own` });
  } finally {
    await own?.stop();
  }
}
