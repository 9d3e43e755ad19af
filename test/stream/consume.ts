// A read_committed consumer, as anybody would write one: what it sees is what has been published.
import { randomUUID } from 'node:crypto';
import kafkajs from 'kafkajs';

export interface Consumed {
  topic: string;
  partition: number;
  offset: number;
  key: string;
  value: Buffer;
  headers: Record<string, string>;
}

export class Reader implements AsyncDisposable {
  readonly records: Consumed[] = [];
  private readonly consumer: kafkajs.Consumer;

  private constructor(consumer: kafkajs.Consumer) {
    this.consumer = consumer;
  }

  /** From the beginning of these topics on: each by its name, since a pattern would leave out a topic that the broker does not know yet. */
  static async start(broker: string, topics: string[]): Promise<Reader> {
    const kafka = new kafkajs.Kafka({
      brokers: [broker],
      clientId: 'reader',
      logLevel: kafkajs.logLevel.NOTHING,
      retry: { initialRetryTime: 50, retries: 20 },
    });
    const consumer = kafka.consumer({ groupId: `reader-${randomUUID()}`, maxWaitTimeInMs: 50, metadataMaxAge: 500 });
    await consumer.connect();
    await subscribed(consumer, topics);
    const reader = new Reader(consumer);
    await consumer.run({
      autoCommit: false,
      async eachMessage({ topic, partition, message: { key, value, headers, offset } }) {
        const text = Object.entries(headers ?? {}).map(([name, header]) => [name, String(header)]);
        reader.records.push({
          topic,
          partition,
          offset: Number(offset),
          key: String(key),
          value: value!,
          headers: Object.fromEntries(text),
        });
      },
    });
    return reader;
  }

  /** The values, parsed. */
  get values(): any[] {
    return this.records.map(({ value }) => JSON.parse(String(value)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.consumer.disconnect();
  }
}

const unknownMs = 30_000;

/**
 * A broker may not know a topic yet whose creation it has answered: the protocol calls that error one to be retried
 * (https://kafka.apache.org/protocol#protocol_error_codes), and kafkajs gives up at once. A topic that never comes is an error still.
 */
async function subscribed(consumer: kafkajs.Consumer, topics: string[]): Promise<void> {
  for (const end = performance.now() + unknownMs; ; ) {
    try {
      await consumer.subscribe({ topics, fromBeginning: true });
      return;
    } catch (error) {
      const isUnknown = (error as { type?: unknown }).type === 'UNKNOWN_TOPIC_OR_PARTITION';
      if (!isUnknown || performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
