// The contract of the stream stage: what the Kafka sink needs of a client library, in a few methods, so that another one
// fits. All of it runs on the flush thread.

import { SecretMissing } from '../../base/secrets.ts';

/** A record to be sent. The partition is ours to choose, so that every client puts a key where the others do. */
export interface OutRecord {
  topic: string;
  partition: number;
  key: string;
  value: Buffer;
  headers: Record<string, string>;
}

/** A topic as the cluster has it. */
export interface TopicState {
  partitions: number;
  replicationFactor: number;
  /** Effective settings by Kafka's names. */
  config: ReadonlyMap<string, string>;
}

/** A topic as it should be. `replicationFactor` 0: as many as there are brokers, three at most. */
export interface TopicSpec {
  topic: string;
  partitions: number;
  replicationFactor: number;
  config: Readonly<Record<string, string>>;
}

/** A record as it is read back. */
export interface InRecord {
  key: string;
  value: string;
  offset: bigint;
}

/** A look at one partition. */
export interface Reading {
  topic: string;
  partition: number;
  from: bigint;
  /** Leave out what is aborted, and wait for what is not decided; one transaction after the other, as they were ended. */
  committedOnly: boolean;
  visit(record: InRecord): boolean;
}

/** What a cluster can be asked for. Every method rejects with {@link StreamFault}. */
export interface StreamClient {
  /** Those of the topics that exist. */
  describeTopics(topics: readonly string[]): Promise<Map<string, TopicState>>;
  /** Those that exist already stay as they are. */
  createTopics(specs: readonly TopicSpec[]): Promise<void>;
  /** Raise the number of partitions, set these settings. */
  changeTopic(topic: string, partitions: number | undefined, config: Readonly<Record<string, string>>): Promise<void>;
  /** A transactional producer; its first transaction fences every other one of this id. */
  producer(transactionalId: string): Promise<TransactionalProducer>;
  /** One record outside of any transaction. */
  send(record: OutRecord): Promise<void>;
  /** First offset that is kept, and the one after the last. */
  offsets(topic: string, partition: number): Promise<{ first: bigint; next: bigint }>;
  /** Visit a partition's records from an offset on, the committed ones or all, until `visit` says true. */
  read(reading: Reading): Promise<void>;
  close(): Promise<void>;
}

/** What goes to the cluster at once, one after the other. */
export type Requests = AsyncIterable<readonly OutRecord[]> | Iterable<readonly OutRecord[]>;

/** Send them in order; the next one is made while one is in flight. */
export async function sendInTurn(
  requests: Requests,
  send: (records: readonly OutRecord[]) => Promise<unknown>,
): Promise<void> {
  let underWay: Promise<unknown> = Promise.resolve();
  for await (const records of requests) {
    await underWay;
    underWay = send(records);
    underWay.catch(() => {}); // seen when it is awaited
  }
  await underWay;
}

/** Used by one transaction at a time; after any rejection, of no use any more: abandon it. */
export interface TransactionalProducer {
  /** Resolves when all requests, in this order, are committed together. The next is made while one is in flight. */
  transaction(requests: Requests): Promise<void>;
  /** Let go of it without a word to the cluster: whether the last transaction is committed is for the successor to see. */
  abandon(): void;
}

/**
 * `fenced`: another producer has this transactional id, or the broker has given up on the transaction. `too-large`: a
 * record or batch is over the topic's limit. `refused`: the broker will never take this topic or record. `clock`: it takes no
 * record of this time, which is that of sending. `denied`: credentials or rights. `unavailable`: no answer. `failed`: the rest.
 */
export type FaultKind = 'fenced' | 'too-large' | 'refused' | 'clock' | 'denied' | 'unavailable' | 'failed';

/** What went wrong in a client library, in our words. */
export class StreamFault extends Error {
  readonly kind: FaultKind;

  constructor(kind: FaultKind, cause: unknown) {
    const parts = errorsIn(cause);
    const missing = parts.filter((one) => one instanceof SecretMissing); // says more than what it has led to
    const said = missing.length > 0 ? missing : parts;
    const messages = new Set(said.map((one) => String(one.message ?? one)));
    super([...messages].slice(0, messagesMost).join(': '), { cause });
    this.name = 'StreamFault';
    this.kind = kind;
  }
}

/** What brokers say of topics and records that they will never take. */
export const refusals: readonly string[] = [
  'INVALID_TOPIC_EXCEPTION',
  'INVALID_TOPIC',
  'INVALID_PARTITIONS',
  'INVALID_CONFIG',
  'POLICY_VIOLATION',
  'INVALID_RECORD',
];

/**
 * What brokers say of a record's time, which is when it is sent, not when the event occurred: a wrong clock, here or there, or
 * a topic that bounds times too narrowly. No event is to blame, and each passes once the clock or the topic is right.
 */
export const offClock: readonly string[] = ['INVALID_TIMESTAMP'];

/** What brokers say while they have not ended the transaction before. One that cannot end it says no more, ever; its log does. */
export const pending: readonly string[] = ['CONCURRENT_TRANSACTIONS'];

const messagesMost = 4;
const errorsMost = 100;

/** An error and all that it is made of, each once: its causes, and the parts of those that stand for several. */
export function errorsIn(error: unknown): readonly any[] {
  const found = new Set<any>([error]);
  for (const one of found) {
    const parts = [one?.cause, one?.originalError, ...(Array.isArray(one?.errors) ? one.errors : [])];
    for (const part of parts) if (part && found.size < errorsMost) found.add(part);
  }
  return [...found];
}
