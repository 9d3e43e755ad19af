// The road's end: a broker of the demo's own, and a read_committed consumer that counts what comes out of it.
import kafkajs from 'kafkajs';
import type { EventLine } from '../control.ts';
import type { Check } from './proof.ts';

const lookMs = 20;

export class Published {
  readonly address: string;
  readonly #broker: { stop(): Promise<void> };
  readonly #kafka: kafkajs.Kafka;

  private constructor(broker: { address: string; stop(): Promise<void> }) {
    this.#broker = broker;
    this.address = broker.address;
    this.#kafka = new kafkajs.Kafka({ brokers: [broker.address], logLevel: kafkajs.logLevel.NOTHING });
  }

  /** The tests' broker: `npm run services` has brought it. */
  static async start(): Promise<Published> {
    const { Kafka } = await import('../../../test/kafka.ts');
    console.log('\n  starting a Kafka broker');
    return new Published(await Kafka.start());
  }

  /** Every event once, nothing else, each aggregate in the order of its versions. */
  async prove(events: () => Promise<EventLine[]>, settleMs: number): Promise<Check> {
    const seen: string[] = [];
    const wrong: string[] = [];
    const versions = new Map<string, number>();
    const consumer = this.#kafka.consumer({ groupId: 'demo', maxWaitTimeInMs: 50 });
    await consumer.connect();
    await consumer.subscribe({ topics: [/^events\./], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      async eachMessage({ message: { key, headers } }) {
        const aggregate = `${headers!['aggregate-type']}/${key}`;
        const version = Number(headers!['aggregate-version']);
        if (version !== (versions.get(aggregate) ?? 0) + 1) wrong.push(`${aggregate} version ${version}: out of order`);
        versions.set(aggregate, version);
        seen.push(String(headers!['event-id']));
      },
    });
    // The market goes on by itself: what was there at first must come; what came must be there at last.
    const first = await events();
    const giveUpAt = performance.now() + settleMs;
    while (performance.now() < giveUpAt && seen.length < first.length) {
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
    await consumer.disconnect();
    const times = new Map<string, number>();
    for (const id of seen) times.set(id, (times.get(id) ?? 0) + 1);
    for (const { id, aggregate, version } of first) {
      if (!times.has(id)) wrong.push(`${aggregate} version ${version}: not there`);
    }
    const last = new Set((await events()).map(({ id }) => id));
    for (const [id, count] of times) if (count > 1 || !last.has(id)) wrong.push(`${id}: ${count} times`);
    return { what: 'events in Kafka, once, in order', checked: times.size, wrong };
  }

  stop(): Promise<void> {
    return this.#broker.stop();
  }
}
