// A transactional producer of @platformatic/kafka, with three of its ways changed:
//
// - It says explicitly that it has no id yet. By its defaults (0 and epoch 0) the broker would take it for an old
//   producer and fence the wrong one.
// - A transaction is ended once. It would ask again after a lost answer, and a late first request could end the transaction
//   after it (KIP-890); so that is for a new producer to find out.
// - Partitions are added in the version for clients (3). Later ones are for brokers: they ask for rights over the cluster, and
//   take the producer for one of the newer protocol (KIP-890 part 2), which by the rest of its requests it is not.
import {
  type API,
  addPartitionsToTxnV3,
  type BaseOptions,
  type Callback,
  type CallbackWithPromise,
  kGetApi,
  kPerformWithRetry,
  type MessageToProduce,
  Producer,
  type Serializers,
} from '@platformatic/kafka';
import { backoffMs } from '../../base/backoff.ts';
import type { KafkaSettings } from './kafka-options.ts';
import { inOurWords } from './platformatic-faults.ts';
import { type Requests, sendInTurn, type TransactionalProducer } from './stream.ts';

type Message = MessageToProduce<string, Buffer, string, string>;

const retries = 8; // while the broker still ends the transaction before

const pauses = { minMs: 10, maxMs: 500 };
export const retryDelayMs = (attempt: number): number => backoffMs(attempt, pauses);

const utf8 = (text?: string): Buffer | undefined => (text === undefined ? undefined : Buffer.from(text));
export const serializers: Partial<Serializers<string, Buffer, string, string>> = {
  key: utf8,
  value: (value?: Buffer) => value,
  headerKey: utf8,
  headerValue: utf8,
};

class Native extends Producer<string, Buffer, string, string> {
  override [kGetApi]<Arguments extends unknown[], Answer>(
    name: string,
    callback: Callback<API<Arguments, Answer>>,
  ): void {
    if (name === 'AddPartitionsToTxn') callback(null, addPartitionsToTxnV3.api as unknown as API<Arguments, Answer>);
    else super[kGetApi](name, callback);
  }

  override [kPerformWithRetry]<Answer>(
    name: string,
    operation: (callback: Callback<Answer>, attempt: number) => void,
    callback: CallbackWithPromise<Answer>,
    attempt?: number,
    errors?: Error[],
    isFinal?: (error: Error) => boolean,
    limit?: number,
  ): Promise<Answer> | undefined {
    const endsHere = name === 'endTransaction' ? () => true : isFinal;
    const done = super[kPerformWithRetry](name, operation, callback, attempt, errors, endsHere, limit);
    return done as Promise<Answer> | undefined;
  }
}

export class PlatformaticProducer implements TransactionalProducer {
  private readonly producer: Native;

  constructor(base: BaseOptions, transactionalId: string, settings: KafkaSettings) {
    this.producer = new Native({
      ...base,
      // The producer sends it to the broker: how long a transaction may stand.
      timeout: settings.transactionTimeoutMs,
      requestTimeout: settings.requestTimeoutMs,
      retries,
      transactionalId,
      idempotent: true,
      producerId: -1n,
      producerEpoch: -1,
      serializers,
      compression: settings.compression,
    });
  }

  async transaction(requests: Requests): Promise<void> {
    const transaction = await inOurWords(this.producer.beginTransaction());
    await sendInTurn(requests, (records) => inOurWords(transaction.send({ messages: records as Message[] })));
    await inOurWords(transaction.commit());
  }

  abandon(): void {
    this.producer.close(true).catch(() => {});
  }
}
