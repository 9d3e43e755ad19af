// The public side of the Kafka stream: what a user says, checked, and turned into plain data for the flush thread, which
// imports the sink by its URL.
import { TrunklineError } from '../errors.ts';
import { checkFields, fieldsOf } from '../known-fields.ts';
import type { StreamOptions } from '../options.ts';
import { type Format, formats } from './kafka/format.ts';

/** Where events go, and what the topics are like. */
export interface TopicOptions {
  /** Default `events`. */
  prefix?: string;
  /**
   * Name of an event's topic; placeholders `{prefix}`, `{aggregateType}` and `{eventType}` (or `{aggregate_type}`,
   * `{event_type}`). Default `{prefix}.{aggregateType}`. A topic per event type gives up the order across an aggregate's
   * events of several types.
   */
  template?: string;
  /** URL of a module whose default export names the topic instead: `(aggregateType, eventType) => string`. */
  module?: string;
  /** Of topics that are created; 1 to 10,000; default 6. */
  partitions?: number;
  /** Of topics that are created; default: as many as there are brokers, three at most. */
  replicationFactor?: number;
  /** How long records are kept, milliseconds, -1 for ever; default: the broker's. */
  retentionMs?: number;
  /** Default: the broker's. */
  cleanupPolicy?: 'delete' | 'compact' | 'compact,delete';
  /** Further topic settings by Kafka's names. */
  config?: Readonly<Record<string, string>>;
  /** Create what is missing; default true. If false, events wait until somebody else has created their topics. */
  create?: boolean;
  /** Prefix of the stream's own topics, of checkpoints and of what was quarantined; default `trunkline`. */
  internalPrefix?: string;
}

/** A Confluent-compatible schema registry. */
export interface RegistryOptions {
  /** Base address: `http://host:8081`. A user and a password belong into `username` and `password`. */
  url: string;
  username?: string;
  password?: string;
  /** Set for every subject; default `BACKWARD`. */
  compatibility?:
    | 'NONE'
    | 'BACKWARD'
    | 'BACKWARD_TRANSITIVE'
    | 'FORWARD'
    | 'FORWARD_TRANSITIVE'
    | 'FULL'
    | 'FULL_TRANSITIVE';
  /**
   * `topicRecord` (default): subject `{topic}-{eventType}`; `record`: `{aggregateType}.{eventType}`; `topic`:
   * `{topic}-value`, for topics that carry one event type.
   */
  subjects?: 'topicRecord' | 'record' | 'topic';
  /** JSON Schemas of payloads by `{aggregateType}.{eventType}`, where the definition's validator does not give one. */
  schemas?: Readonly<Record<string, object>>;
}

/** What `kafka()` takes. */
export interface KafkaOptions {
  /** `host:port`, at least one. */
  brokers: readonly string[];
  /** Default `trunkline`. */
  clientId?: string;
  /** Client library; default `kafkajs`. `platformatic` needs `@platformatic/kafka` beside trunkline. */
  client?: 'kafkajs' | 'platformatic';
  /** TLS: true, or the options of Node's `tls.connect` that are plain data. */
  ssl?: boolean | Readonly<Record<string, unknown>>;
  sasl?: { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; username: string; password: string };
  topics?: TopicOptions;
  /** What a record looks like; default `trunkline`, the event as `StoredEvent` shows it. */
  format?: Format;
  registry?: RegistryOptions;
  /** URL of a module whose default export is a list of `integration(…)`. */
  integration?: string;
  /** Which events are published, by `{aggregateType}` or `{aggregateType}.{eventType}`; default all. */
  publishing?: Readonly<Record<string, boolean>>;
  /** One transaction takes what has arrived, up to so many events (default 5,000) or bytes (default 4 MiB). */
  batch?: {
    count?: number;
    bytes?: number /** at most one in so many milliseconds unless somebody waits; default 10 */;
    delayMs?: number;
  };
  /** Default `none`. */
  compression?: 'none' | 'gzip';
  /** Tell the logger when more than so many log positions wait to be published; default 100,000. */
  backlogLimit?: number;
  /** How long the broker may let a transaction stand that we have left, milliseconds; default 30,000. */
  transactionTimeoutMs?: number;
  /** How long one request may take, milliseconds; default 10,000. */
  requestTimeoutMs?: number;
  /** How long a connection may take, milliseconds; default 3,000. */
  connectTimeoutMs?: number;
  /**
   * After `CheckpointMissing` only: the last log position that counts as published. The stream goes on behind it.
   */
  resumeAfter?: number;
}

/** With every default. Plain data. */
export interface KafkaSettings
  extends Required<
    Omit<KafkaOptions, 'ssl' | 'sasl' | 'topics' | 'registry' | 'integration' | 'batch' | 'resumeAfter'>
  > {
  ssl: KafkaOptions['ssl'];
  sasl: KafkaOptions['sasl'];
  registry: (Required<Omit<RegistryOptions, 'username' | 'password'>> & RegistryOptions) | undefined;
  integration: string | undefined;
  resumeAfter: number | undefined;
  topics: TopicSettings;
}

/** With every default. */
export type TopicSettings = Required<Omit<TopicOptions, 'module' | 'retentionMs' | 'cleanupPolicy'>> & TopicOptions;

/** The name of Kafka's cursor on the log, in `status()` and in errors. */
export const kafkaName = 'kafka';

// `.ts` in development, `.js` when published.
const extension = import.meta.filename.slice(-3);

/**
 * Publish every event to Kafka, exactly once for `read_committed` consumers, in order per aggregate.
 *
 * ```ts
 * createRuntime({ …, stream: kafka({ brokers: ['localhost:9092'] }) })
 * ```
 * @throws InvalidOptions
 */
export function kafka(options: KafkaOptions): StreamOptions {
  const settings = resolveKafka(options);
  const { count = 5000, bytes = 4 << 20, delayMs = 10 } = options.batch ?? {};
  return {
    name: kafkaName,
    module: new URL(`./kafka/sink${extension}`, import.meta.url).href,
    options: settings,
    batch: {
      count: within('batch.count', count, 1, 100_000),
      bytes: within('batch.bytes', bytes, 4096, 64 << 20),
      delayMs: within('batch.delayMs', delayMs, 0, 60_000),
    },
    backlogLimit: within('backlogLimit', options.backlogLimit ?? 100_000, 1, Number.MAX_SAFE_INTEGER),
  };
}

const kafkaFields = fieldsOf<KafkaOptions>({
  brokers: true,
  clientId: true,
  client: true,
  ssl: true,
  sasl: true,
  topics: true,
  format: true,
  registry: true,
  integration: true,
  publishing: true,
  batch: true,
  compression: true,
  backlogLimit: true,
  transactionTimeoutMs: true,
  requestTimeoutMs: true,
  connectTimeoutMs: true,
  resumeAfter: true,
});
const topicFields = fieldsOf<TopicOptions>({
  prefix: true,
  template: true,
  module: true,
  partitions: true,
  replicationFactor: true,
  retentionMs: true,
  cleanupPolicy: true,
  config: true,
  create: true,
  internalPrefix: true,
});
const registryFields = fieldsOf<RegistryOptions>({
  url: true,
  username: true,
  password: true,
  compatibility: true,
  subjects: true,
  schemas: true,
});
const batchFields = fieldsOf<NonNullable<KafkaOptions['batch']>>({ count: true, bytes: true, delayMs: true });

/** Check, and fill in. */
export function resolveKafka(options: KafkaOptions): KafkaSettings {
  checkFields('stream', options, kafkaFields);
  if (options.topics !== undefined) checkFields('stream.topics', options.topics, topicFields);
  if (options.registry !== undefined) checkFields('stream.registry', options.registry, registryFields);
  if (options.batch !== undefined) checkFields('stream.batch', options.batch, batchFields);
  const { brokers, sasl, topics = {}, registry } = options;
  if (!Array.isArray(brokers) || brokers.length === 0) invalid('brokers', brokers, 'must name at least one host:port');
  for (const broker of brokers) {
    if (typeof broker !== 'string' || !/^.+:\d{1,5}$/.test(broker)) invalid('brokers', broker, 'must be host:port');
  }
  refuseFunctions('', options);
  const clientId = options.clientId ?? 'trunkline';
  if (!/^[\w.-]{1,100}$/.test(clientId)) invalid('clientId', clientId, 'must be 1 to 100 of a-z A-Z 0-9 . _ -');
  if (sasl !== undefined) oneOf('sasl.mechanism', sasl.mechanism, ['plain', 'scram-sha-256', 'scram-sha-512']);
  if (topics.module !== undefined) url('topics.module', topics.module);
  if (options.integration !== undefined) url('integration', options.integration);
  if (registry !== undefined && !URL.canParse(registry.url)) invalid('registry.url', 'not shown', 'must be a URL');
  const { resumeAfter } = options;
  if (resumeAfter !== undefined) within('resumeAfter', resumeAfter, 0, Number.MAX_SAFE_INTEGER);
  return {
    brokers: [...brokers],
    clientId,
    client: oneOf('client', options.client ?? 'kafkajs', ['kafkajs', 'platformatic']),
    ssl: options.ssl,
    sasl,
    topics: resolveTopics(topics),
    format: oneOf('format', options.format ?? 'trunkline', formats),
    registry: registry && { compatibility: 'BACKWARD', subjects: 'topicRecord', schemas: {}, ...registry },
    integration: options.integration,
    publishing: options.publishing ?? {},
    compression: oneOf('compression', options.compression ?? 'none', ['none', 'gzip']),
    backlogLimit: options.backlogLimit ?? 100_000,
    transactionTimeoutMs: within('transactionTimeoutMs', options.transactionTimeoutMs ?? 30_000, 1000, 900_000),
    requestTimeoutMs: within('requestTimeoutMs', options.requestTimeoutMs ?? 10_000, 100, 600_000),
    connectTimeoutMs: within('connectTimeoutMs', options.connectTimeoutMs ?? 3_000, 100, 600_000),
    resumeAfter,
  };
}

function resolveTopics(topics: TopicOptions): TopicSettings {
  const template = topics.template ?? '{prefix}.{aggregateType}';
  const unknown = /\{(?!(?:prefix|aggregateType|aggregate_type|eventType|event_type)\})[^}]*\}?/.exec(template)?.[0];
  if (unknown !== undefined) invalid('topics.template', template, `${unknown} is no placeholder`);
  return {
    ...topics,
    prefix: topics.prefix ?? 'events',
    template,
    partitions: within('topics.partitions', topics.partitions ?? 6, 1, 10_000),
    replicationFactor: within('topics.replicationFactor', topics.replicationFactor ?? 0, 0, 100),
    config: topics.config ?? {},
    create: topics.create ?? true,
    internalPrefix: topics.internalPrefix ?? 'trunkline',
  };
}

function invalid(option: string, value: unknown, reason: string): never {
  throw new TrunklineError('InvalidOptions', { option: `stream.${option}`, value, reason });
}

function within(option: string, value: number, low: number, high: number): number {
  if (Number.isInteger(value) && value >= low && value <= high) return value;
  return invalid(option, value, `must be an integer from ${low} to ${high}`);
}

function oneOf<T extends string>(option: string, value: T, allowed: readonly T[]): T {
  return allowed.includes(value) ? value : invalid(option, value, `must be one of ${allowed.join(', ')}`);
}

function url(option: string, value: string): void {
  if (!URL.canParse(value)) invalid(option, value, 'must be a URL: import.meta.resolve(…)');
}

/** They cannot cross to the flush thread. */
function refuseFunctions(path: string, value: unknown): void {
  if (typeof value === 'function')
    invalid(path, 'a function', 'cannot cross threads: put it into a module, and name that');
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
  for (const [key, item] of Object.entries(value)) refuseFunctions(path === '' ? key : `${path}.${key}`, item);
}
